import type { Buffer, DType } from '../backend.js';
import type { Dispatch, Kernel } from '../kernel.js';

/** What a plan has at hand while it runs. */
export interface PlanCall {
  launch(dispatch: Dispatch): void;
  /** Device memory for the time of the plan. */
  scratch(dtype: DType, length: number): Buffer;
  /** Bytes of one buffer at most. */
  readonly maxBufferLength: number;
  /** Threads of a group at most. */
  readonly maxGroupSize: number;
}

/** How a GPU answers a kernel that it has no single program for: a short program of smaller launches, with scratch memory of its own. */
export interface Plan {
  /** The kernels that it launches. */
  readonly kernels: readonly Kernel[];
  run(launch: Dispatch, call: PlanCall): void;
}
