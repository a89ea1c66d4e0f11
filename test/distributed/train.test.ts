import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSafetensors } from 'tapegrad';
import { type Job, mpirun, mpiTests, type RunOptions } from './launch.js';
import { signalled } from '../examples/run.js';
import { nodeArgs } from '../node.js';

interface Trained {
  losses: number[];
  /** Whether the resumed run equals the uninterrupted one, byte for byte. */
  isSame: boolean;
  half: string;
  digest: string;
}

const scratch = mkdtempSync(join(tmpdir(), 'mpi-train-'));
afterAll(() => {
  rmSync(scratch, { recursive: true });
});

/** The largest relative difference. */
const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((loss, i) => Math.abs(loss - b[i]!) / Math.abs(loss)));

let alone: Trained;

/** One process, without a launcher and without a world. */
function trainAlone(): Trained {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^(OMPI|PMI|SLURM|TAPEGRAD)/.test(key)),
  );
  const program = join(__dirname, 'programs', 'train.mjs');
  execFileSync(process.execPath, nodeArgs(program, 'SAVE', join(scratch, 'alone')), {
    env: { ...env, REPORTS: scratch },
  });
  return JSON.parse(readFileSync(join(scratch, '0'), 'utf8')) as Trained;
}

mpiTests('20 training steps', (launcher) => {
  let half: string | undefined;
  const checkpoint = (ranks: number): string => join(scratch, `${launcher.name.replace(' ', '')}-${ranks}`);
  beforeAll(() => {
    alone ??= trainAlone();
  });

  test.each([2, 4])(
    'on %i ranks: the losses of one process, ranks equal to the bit, resumed to the bit',
    async (ranks) => {
      const job = await mpirun(launcher, ranks, 'train.mjs', ['SAVE', checkpoint(ranks)]);
      expect({ code: job.code, error: job.error }).toEqual({ code: 0, error: '' });
      const trained = job.reports as Trained[];
      expect(alone.losses).toHaveLength(20);
      for (const one of trained) {
        expect(distance(alone.losses, one.losses)).toBeLessThan(1e-6);
        expect(one).toMatchObject({ isSame: true, half: trained[0]!.half, digest: trained[0]!.digest });
      }
      if (ranks === 2) half = trained[0]!.half;
    },
  );

  test('from 2 ranks to 4: the same tensors, and it goes on', async () => {
    const job = await mpirun(launcher, 4, 'train.mjs', ['RESUME', checkpoint(2)]);
    expect({ code: job.code, error: job.error }).toEqual({ code: 0, error: '' });
    for (const wide of job.reports as Trained[]) {
      expect(wide.half).toBe(half);
      expect(distance(alone.losses, wide.losses)).toBeLessThan(1e-6);
    }
  });
});

/** The checkpoint of a run that nothing interrupts. A sum of two numbers does not depend on the MPI: with two ranks it is the same under each. */
let uninterrupted: Buffer;

mpiTests('npm start -- --distributed', (launcher) => {
  const start = (args: string[], options?: RunOptions): Promise<Job> =>
    mpirun(launcher, 2, 'examples/digits/train.mjs', ['--distributed', ...args], options);
  // A signal that asks the run to stop, and one that no process survives.
  const signal = launcher.name === 'MPICH' ? 'SIGTERM' : 'SIGKILL';

  test(`${signal} to one rank: no torn checkpoint, and the resumed run is the uninterrupted one, byte for byte`, async () => {
    const folder = (name: string): string => join(scratch, `${name}-${launcher.name.replace(' ', '')}`);
    const args = ['--steps', '12', '--seed', '3', '--batch', '8'];
    const file = join(folder('parts'), 'checkpoint.safetensors');
    // Only the first rank writes checkpoints; SIGKILL comes in the middle of one.
    const { flags, env } = signalled(file, signal, signal === 'SIGTERM' ? 'after' : 'within the second time');
    const stopped = await start([...args, '--out', folder('parts')], { nodeOptions: flags, env });
    expect(stopped.code).not.toBe('SIGKILL');
    expect(stopped.code).not.toBe(0);
    if (signal === 'SIGTERM') {
      expect(stopped.out).toMatch(
        /Stopped at step \d+ and saved\. Go on with:\n\n {2}npm start -- --distributed --resume /,
      );
      expect(stopped.out.match(/Stopped at step/g)).toHaveLength(1);
    }
    const run = JSON.parse(loadSafetensors(readFileSync(file)).metadata.run!) as { step: number };
    expect(run.step).toBeGreaterThan(0);
    expect(run.step).toBeLessThan(12);

    const resumed = await start(['--resume', file]);
    expect({ code: resumed.code, error: resumed.error }).toEqual({ code: 0, error: '' });
    expect(resumed.out.match(/^2 processes, .*MPI/gm)).toHaveLength(1);
    expect(resumed.out.match(/Held-out CER/g)).toHaveLength(1);
    if (!uninterrupted) {
      const whole = await start([...args, '--out', folder('whole')]);
      expect({ code: whole.code, error: whole.error }).toEqual({ code: 0, error: '' });
      uninterrupted = readFileSync(join(folder('whole'), 'checkpoint.safetensors'));
    }
    expect(uninterrupted.equals(readFileSync(file))).toBe(true);
  });

  test('what is wrong is said once', async () => {
    const many = await start(['--batch', '1']);
    expect(many.code).not.toBe(0);
    expect(many.error.match(/--distributed: 2 processes cannot share 1 lines; raise --batch/g)).toHaveLength(1);
    const missing = await start(['--resume', join(scratch, 'nothing')]);
    expect(missing.code).not.toBe(0);
    expect(missing.error.match(/--resume: cannot read .*nothing on the first process/g)).toHaveLength(1);
  });
});
