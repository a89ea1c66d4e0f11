/** Launches that wait to be submitted, in order: elementwise ones that follow one another as one. */
import { type Dispatch, MOST_BUFFERS, packParams } from '../kernel.js';
import type { GpuDevice, GpuProgram, Launch } from './device.js';
import type { Dialect } from './dialect.js';
import { Chain, stepOf, type Waiting } from './fusion.js';
import { GROUP_WIDTH, MOST_GROUPS, MOST_SHARED_GROUPS } from './limits.js';
import type { Block } from './memory.js';
import type { Programs } from './programs.js';

export class Gathered {
  private launches: Launch[] = [];
  private ops: string[] = [];
  private readonly chain: Chain | null;

  constructor(
    private readonly gpu: GpuDevice,
    dialect: Dialect,
    programs: Programs,
    /** Told of programs that are being compiled for later. */
    onPending: (ready: Promise<void>) => void,
  ) {
    const fuse: Programs['fuse'] = (...parts) => programs.fuse(...parts);
    this.chain = dialect.fused ? new Chain(fuse, gpu.maxBuffers ?? MOST_BUFFERS, onPending) : null;
  }

  /** Launches so far; those of one chain may turn out to be one. */
  get count(): number {
    return this.launches.length + (this.chain?.length ?? 0);
  }

  /** Puts a launch behind the others. */
  add(waiting: Waiting): void {
    const { chain } = this;
    if (chain) {
      const step = stepOf(waiting);
      if (step && chain.add(step)) return;
      this.endChain();
      if (step && chain.add(step)) return;
    }
    this.push(waiting);
  }

  /** Sees to it that a block will be written as things are now: what has been launched is not changed any more. */
  settle(block: Block): void {
    if (this.chain?.writes(block)) this.endChain();
  }

  /** Hands over all launches, with the ops that asked for them. */
  take(): { readonly launches: readonly Launch[]; readonly ops: readonly string[] } {
    this.endChain();
    const { launches, ops } = this;
    this.launches = [];
    this.ops = [];
    return { launches, ops };
  }

  private endChain(): void {
    if (!this.chain || this.chain.length === 0) return;
    const { waiting, fused } = this.chain.end();
    if (!fused) {
      for (const one of waiting) this.push(one);
      return;
    }
    const { program, blocks, params, size } = fused;
    const groups = Math.min(Math.ceil(size / GROUP_WIDTH), MOST_GROUPS);
    this.launches.push({ program, buffers: blocks.map(({ memory }) => memory), params, groups, width: GROUP_WIDTH });
    for (const { op } of waiting) this.ops.push(op);
  }

  private push({ dispatch, program, blocks, op }: Waiting): void {
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

  private widthOf({ groupSize }: Dispatch, program: GpuProgram): number {
    return Math.min(groupSize ?? GROUP_WIDTH, this.gpu.maxGroupSize ?? GROUP_WIDTH, program.maxThreads);
  }
}

const groupsOf = ({ kernel, grid, groupSize }: Dispatch, width: number): number =>
  kernel.layout === 'groups'
    ? Math.min(grid, groupSize === undefined ? MOST_SHARED_GROUPS : MOST_GROUPS)
    : Math.min(Math.ceil(grid / width), MOST_GROUPS);
