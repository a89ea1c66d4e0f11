import { type AbiName, libraryNames } from './abi.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** What a launcher told this process. It says so whichever library the process then loads. */
export interface Launch {
  readonly by: string;
  /** Undefined where the launcher does not say. */
  readonly size: number | undefined;
  readonly rank: number;
  /** The library that this launcher usually belongs to. */
  readonly abi: AbiName | undefined;
}

/** The launcher that started this process: mpirun of Open MPI, mpirun of MPICH (Hydra) or its relatives, or srun; null without one. */
export function launcherOf(env: Environment): Launch | null {
  if (env.OMPI_COMM_WORLD_SIZE)
    return {
      by: "Open MPI's mpirun",
      size: Number(env.OMPI_COMM_WORLD_SIZE),
      rank: Number(env.OMPI_COMM_WORLD_RANK),
      abi: 'openmpi',
    };
  if (env.PMI_SIZE && env.PMI_RANK) {
    const by = env.SLURM_STEP_ID ? 'srun (PMI)' : "MPICH's mpirun (Hydra)";
    return { by, size: Number(env.PMI_SIZE), rank: Number(env.PMI_RANK), abi: 'mpich' };
  }
  // A step's own variables: a batch script has SLURM_NTASKS too, although srun has started nothing yet.
  const size = env.SLURM_STEP_NUM_TASKS ? Number(env.SLURM_STEP_NUM_TASKS) : undefined;
  if (env.PMIX_RANK)
    return {
      by: size === undefined ? 'a PMIx launcher' : 'srun (PMIx)',
      size,
      rank: Number(env.PMIX_RANK),
      abi: undefined,
    };
  if (size !== undefined && size > 1 && env.SLURM_PROCID)
    return { by: 'srun', size, rank: Number(env.SLURM_PROCID), abi: undefined };
  return null;
}

/** The libraries to try, in order: the one that TAPEGRAD_MPI names, else the launcher's, else whichever is there. */
export function libraryCandidates(env: Environment, platform: string): readonly string[] {
  if (env.TAPEGRAD_MPI) return [env.TAPEGRAD_MPI];
  const names = libraryNames(platform);
  const wanted = launcherOf(env)?.abi;
  const order: readonly AbiName[] =
    wanted === 'mpich' ? ['mpich', 'standard', 'openmpi'] : ['openmpi', 'standard', 'mpich'];
  return [...order.flatMap((abi) => names[abi]), ...names.any];
}
