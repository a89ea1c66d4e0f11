/** Launches that wait to be submitted, in their order. */
import { type Dispatch, packParams } from '../kernel.js';
import type { GpuDevice, GpuProgram, Launch } from './device.js';
import { GROUP_WIDTH, MOST_GROUPS, MOST_SHARED_GROUPS } from './limits.js';
import type { Block } from './memory.js';

export class Gathered {
  private launches: Launch[] = [];
  private ops: string[] = [];

  constructor(private readonly gpu: GpuDevice) {}

  get count(): number {
    return this.launches.length;
  }

  /** Puts a launch behind the others. @param blocks the inputs' memory, then the outputs' */
  add(dispatch: Dispatch, program: GpuProgram, blocks: readonly Block[], op: string): void {
    const width = this.widthOf(dispatch, program);
    this.launches.push({
      program,
      buffers: blocks.map(({ memory }) => memory),
      params: packParams(dispatch.kernel, dispatch.params),
      groups: groupsOf(dispatch, width),
      width,
    });
    this.ops.push(op);
  }

  /** Hands over all launches, with the ops that asked for them. */
  take(): { readonly launches: readonly Launch[]; readonly ops: readonly string[] } {
    const { launches, ops } = this;
    this.launches = [];
    this.ops = [];
    return { launches, ops };
  }

  private widthOf({ groupSize }: Dispatch, program: GpuProgram): number {
    return Math.min(groupSize ?? GROUP_WIDTH, this.gpu.maxGroupSize ?? GROUP_WIDTH, program.maxThreads);
  }
}

const groupsOf = ({ kernel, grid, groupSize }: Dispatch, width: number): number =>
  kernel.layout === 'groups'
    ? Math.min(grid, groupSize === undefined ? MOST_SHARED_GROUPS : MOST_GROUPS)
    : Math.min(Math.ceil(grid / width), MOST_GROUPS);
