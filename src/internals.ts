/** What the benchmarks want beside the public surface: of the same engine, and not in the package. */
export { heap } from './backends/cpu/heap.js';
export { ctcTiers } from './backends/cpu/kernels/ctc.js';
export { warmThreads } from './backends/cpu/pool.js';
export { libraryCandidates } from './distributed/launcher.js';
export { Mpi } from './distributed/mpi.js';
