/** Sizes that every GPU's kernels are made for, within what WebGPU guarantees everywhere. */

/** Threads of a group, unless a launch asks for another number; the most that every GPU has, and that Metal's kernels are made for. */
export const GROUP_WIDTH = 256;

/** Groups of one launch at most, in its only dimension; kernels launched a thread a unit go on to further units. */
export const MOST_GROUPS = 65535;

/** Groups that are launched for kernels with layout 'groups' at most, unless they ask for a width; each goes on to further units. */
export const MOST_SHARED_GROUPS = 4096;

/** Groups that keep a large GPU busy. */
export const BUSY_GROUPS = 512;

/** Launches that are gathered before they are submitted without anybody waiting; a device that has nothing to do gets fewer, then twice as many each time. */
export const BATCH = 128;
export const FIRST_BATCH = 16;

/** Elements of launches, in and out, that are worth a submission of their own where the device has nothing to do. */
export const FIRST_ELEMENTS = 2 ** 21;

/** Launches that are remembered; a training step has the same ones again and again, as memory is recycled. */
export const MOST_LAUNCHES_KEPT = 4096;

/** Submissions that may be on their way at once; beyond that the CPU waits for the GPU. */
export const MOST_IN_FLIGHT = 4;

/** Free memory beyond this goes back to the system. Twice what a plan keeps between its kernels, so that a step after another finds it. */
export const POOL_BYTES = 2 ** 31;

/** Memory is asked for in pieces of at least this: GPUs refuse empty buffers and empty bindings. */
export const LEAST_BYTES = 16;
