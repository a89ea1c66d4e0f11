/**
 * Where the tests of distributed training run: under the mpirun of Open MPI and of MPICH, and under MPICH's with the shim of the standard
 * interface before it. Where one of them is missing, its tests do not run, and the last lines of jest's say so; with MPI_REQUIRED=1 they fail.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { checkBuilt } from '../built.js';
import { requirement } from '../requirements.js';
import { nodeArgs } from '../node.js';

export const ROOT = resolve(__dirname, '../..');

export interface Launcher {
  readonly name: string;
  /** mpirun and the options it always gets. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Job {
  /** 'SIGKILL' if the job had to be ended because it hung. */
  readonly code: number | 'SIGKILL';
  readonly out: string;
  readonly error: string;
  /** What the ranks reported, in the order of ranks; undefined for one that did not. */
  readonly reports: readonly unknown[];
}

const OPEN_MPI: Launcher = {
  name: 'Open MPI',
  command: ['mpirun.openmpi', '--oversubscribe', '--bind-to', 'none'],
  env: { OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' },
};
const MPICH: Launcher = { name: 'MPICH', command: ['mpirun.mpich'], env: {} };

const isThere = (command: string): boolean =>
  spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined;

/** MPI 5.0's binary interface over MPICH, compiled from shim.c. */
function buildShim(): Launcher | null {
  const library = join(mkdtempSync(join(tmpdir(), 'mpi-abi-')), 'libmpi_abi.so.1');
  const source = join(__dirname, 'shim.c');
  const built = spawnSync('cc', ['-shared', '-fPIC', '-o', library, source, '-l:libmpich.so.12'], { encoding: 'utf8' });
  return built.status === 0 ? { ...MPICH, name: 'the standard interface', env: { TAPEGRAD_MPI: library } } : null;
}

const mpich = isThere('mpirun.mpich') ? MPICH : null;
const launchers: readonly (readonly [string, Launcher | null])[] = [
  ['Open MPI', isThere('mpirun.openmpi') ? OPEN_MPI : null],
  ['MPICH', mpich],
  ['the standard interface', mpich && buildShim()],
];

/** A suite that runs under each MPI; `only` leaves some of them out. */
export function mpiTests(name: string, body: (launcher: Launcher) => void, only = ['Open MPI', 'MPICH']): void {
  for (const [title, launcher] of launchers) {
    if (!only.includes(title)) continue;
    const suite = requirement(title, 'MPI_REQUIRED', launcher ? undefined : 'not installed');
    suite(`${name}, ${title}`, () => {
      beforeAll(checkBuilt); // the programs use the built package, as users do
      body(launcher ?? { ...MPICH, name: title });
    });
  }
}

/** Milliseconds after which a job counts as hung: many times what the longest takes on a busy machine. */
const LIMIT_MS = 280_000;

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeOptions?: readonly string[];
  /** Whether, from what has been printed, it is time for Ctrl-C. */
  readonly interruptAt?: (out: string) => boolean;
}

/** Runs test/distributed/programs/`program` on so many ranks. */
export async function mpirun(
  launcher: Launcher,
  ranks: number,
  program: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<Job> {
  const file = program.includes('/') ? join(ROOT, program) : join(__dirname, 'programs', program);
  const [command, ...fixed] = launcher.command;
  // In files: lines of different ranks may run into each other on their way through mpirun.
  const reports = mkdtempSync(join(tmpdir(), 'mpi-reports-'));
  const job = await runJob(
    command!,
    [...fixed, '-n', String(ranks), process.execPath, ...nodeArgs(...(options.nodeOptions ?? []), file, ...args)],
    { ...options, env: { ...launcher.env, REPORTS: reports, ...options.env } },
    () => lastDoings(reports),
  );
  const read = (rank: number): unknown => {
    const report = join(reports, String(rank));
    return existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : undefined;
  };
  const found = Array.from({ length: ranks }, (_, rank) => read(rank));
  rmSync(reports, { recursive: true });
  return { ...job, reports: found };
}

/** What each rank of a job that hangs was doing, how long ago it began with that, and what its process is doing now. */
function lastDoings(reports: string): string {
  const notes = readdirSync(reports).filter((name) => name.startsWith('doing'));
  return notes
    .map((name) => {
      const note = join(reports, name);
      const { pid, what } = JSON.parse(readFileSync(note, 'utf8')) as { pid: number; what: string };
      const seconds = Math.round((Date.now() - statSync(note).mtimeMs) / 1000);
      const now = spawnSync('ps', ['-o', 'stat=,time=,wchan:30=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
      return `\n${name}: ${what}, ${seconds} s ago; now ${now.trim() || 'gone'}`;
    })
    .join('');
}

/** Runs a command in a process group of its own, so that nothing of it can outlive the test. */
function runJob(command: string, args: readonly string[], options: RunOptions, explain: () => string): Promise<Job> {
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    let [out, error] = ['', ''];
    let isInterrupted = false;
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      if (isInterrupted || !options.interruptAt?.(out)) return;
      isInterrupted = true;
      child.kill('SIGINT');
    });
    child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()));
    let hasHung = false;
    // mpirun ends its ranks when it is asked to end; the group is for what is left.
    const ask = setTimeout(() => {
      hasHung = true;
      error += `The job has not ended after ${LIMIT_MS / 1000} s.${explain()}`;
      child.kill('SIGTERM');
    }, LIMIT_MS);
    const kill = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), LIMIT_MS + 5000);
    child.on('close', (code) => {
      clearTimeout(ask);
      clearTimeout(kill);
      done({ code: hasHung ? 'SIGKILL' : (code ?? -1), out, error, reports: [] });
    });
  });
}
