/** Sizes that every GPU's kernels are made for, within what WebGPU guarantees everywhere. */

/** Threads of a group at most. The kernels' arrays in group memory are made for no more. */
export const GROUP_WIDTH = 256;

/** Groups of one launch at most, in its only dimension; kernels launched a thread a unit go on to further units. */
export const MOST_GROUPS = 65535;

/** Groups that are launched for kernels with layout 'groups' at most, unless they ask for a width; each goes on to further units. */
export const MOST_SHARED_GROUPS = 4096;

/** Launches that are gathered before they are submitted without anybody waiting. */
export const BATCH = 128;

/** Submissions that may be on their way at once; beyond that the CPU waits for the GPU. */
export const MOST_IN_FLIGHT = 4;

/** Free memory beyond this goes back to the system. */
export const POOL_BYTES = 512 * 2 ** 20;

/** Memory is asked for in pieces of at least this: GPUs refuse empty buffers and empty bindings. */
export const LEAST_BYTES = 16;
