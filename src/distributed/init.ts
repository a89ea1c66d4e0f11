import { createHash } from 'node:crypto';
import { cpus, hostname } from 'node:os';
import { ValueError } from '../errors.js';
import { checkOptions, describe } from '../tensor/arguments.js';
import { MpiError } from './errors.js';
import { type Launch, launcherOf, libraryCandidates } from './launcher.js';
import { Link } from './link.js';
import type { Mpi } from './mpi.js';
import { watch } from './watch.js';
import { World } from './world.js';

export interface InitOptions {
  /** Seconds that a call waits for the other ranks; 600 by default, Infinity for ever. */
  readonly timeout?: number;
}

/** The longest delay that a timer takes. */
const MOST_SECONDS = 2 ** 31 / 1000;

let opened: Promise<World> | null = null;

/**
 * Joins the world of processes that a launcher (mpirun, srun, the Kubernetes MPI operator) has started with this one. Without a launcher it is a world
 * of one, for which neither MPI nor koffi is loaded. A process has one world: further calls give the same.
 *
 * The library is the launcher's; the environment variable TAPEGRAD_MPI names another one by its file.
 * @throws {MpiError} there is no koffi, no MPI library, or not the launcher's.
 */
export async function init(options: InitOptions = {}): Promise<World> {
  checkOptions('init', options, ['timeout']);
  const { timeout = 600 } = options;
  if (typeof timeout !== 'number' || !(timeout > 0) || (timeout > MOST_SECONDS && timeout !== Infinity))
    throw new ValueError(
      'init',
      `timeout is ${describe(timeout)}; it must be a positive number of seconds, or Infinity`,
    );
  opened ??= join(timeout);
  return opened;
}

async function join(timeout: number): Promise<World> {
  const launch = launcherOf(process.env); // before MPI sees the environment, and may change it
  if (!launch && !process.env.TAPEGRAD_MPI) return new World(null, { rank: 0, size: 1 });
  const { Mpi } = await import('./mpi.js');
  const name = launch ? `rank ${launch.rank}${sizeText(launch)}` : 'this process';
  // MPI_Init waits for all ranks, in the event loop's place; and not every launcher tells them that one has ended before its own.
  const callOff = watch(
    timeout * 1000,
    `tapegrad: TimeoutError: [init] ${name} has waited ${timeout} s in MPI_Init; another one has ended before, or hangs`,
  );
  let mpi: Mpi;
  try {
    mpi = await Mpi.open(libraryCandidates(process.env, process.platform));
  } finally {
    callOff();
  }
  if (launch) checkLauncher(mpi, launch);
  const link = new Link(mpi, timeout * 1000);
  const own = createHash('sha256').update(hostname()).digest().readUIntBE(0, 6);
  const machines = (await link.allgather(Float64Array.of(own), 'init', 8)).map(([machine]) => machine);
  const isNear = machines.map((machine) => machine === machines[mpi.rank]);
  const countNear = (near: readonly boolean[]): number => near.filter(Boolean).length;
  const local = { rank: countNear(isNear.slice(0, mpi.rank)), size: countNear(isNear) };
  link.pace.isCrowded = local.size > cpus().length;
  return new World(link, local);
}

/** Another MPI than the launcher's does not fail: it makes each process a world of one, and all of them would train alone, over the same files. */
function checkLauncher(mpi: Mpi, launch: Launch): void {
  const { by, rank, size } = launch;
  if (mpi.rank === rank && (size === undefined || mpi.size === size)) return;
  mpi.finalize();
  throw new MpiError(
    'init',
    `${by} started this process as rank ${rank}${sizeText(launch)}, but ${mpi.description} sees rank ${mpi.rank} of ${mpi.size}: ` +
      "it is not this launcher's library. Use the library's own mpirun, or set TAPEGRAD_MPI to the file of the launcher's library",
  );
}

const sizeText = ({ size }: Launch): string => (size === undefined ? '' : ` of ${size}`);
