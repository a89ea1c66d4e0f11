/** Launches as devices run them, each made once: a training step has the same ones again and again. */
import type { Buffer, DType } from '../backend.js';
import { type Dispatch, type Kernel, packParams } from '../kernel.js';
import type { GpuDevice, GpuMemory, GpuProgram, Launch } from './device.js';
import { GROUP_WIDTH, MOST_GROUPS, MOST_LAUNCHES_KEPT, MOST_SHARED_GROUPS } from './limits.js';
import type { Block, GpuBuffer } from './memory.js';

/** A launch, and what it was made of. */
export class KnownLaunch implements Launch {
  prepared: object | null = null;
  readonly buffers: readonly GpuMemory[];
  /** What was launched after it the last time. */
  next: KnownLaunch | null = null;
  /** The number of the last submission that it is part of. */
  usedIn = 0;

  constructor(
    readonly kernel: Kernel,
    readonly program: GpuProgram,
    readonly blocks: readonly Block[],
    /** How many of them are inputs. */
    readonly inputs: number,
    readonly types: readonly DType[],
    readonly params: Uint32Array,
    readonly groups: number,
    readonly width: number,
    /** All of the same kernel and blocks. */
    readonly alike: KnownLaunch[],
  ) {
    this.buffers = blocks.map(({ memory }) => memory);
  }

  /** Whether a dispatch is of the same kernel, over the same memory, with the same element types. */
  isLike({ kernel, inputs, outputs }: Dispatch): boolean {
    const { blocks, types } = this;
    if (kernel !== this.kernel || inputs.length !== this.inputs || inputs.length + outputs.length !== blocks.length)
      return false;
    for (let i = 0; i < blocks.length; i++) {
      const buffer = (i < inputs.length ? inputs[i] : outputs[i - inputs.length]) as GpuBuffer;
      if (buffer.block !== blocks[i] || buffer.dtype !== types[i]) return false;
    }
    return true;
  }

  /** Whether it runs just so. */
  hasExtent(params: Uint32Array, groups: number, width: number): boolean {
    if (groups !== this.groups || width !== this.width) return false;
    const own = this.params;
    for (let i = 0; i < own.length; i++) if (params[i] !== own[i]) return false;
    return true;
  }
}

/**
 * Finds the launch that a dispatch asks for: first where it came the last time, behind the one before; else by its kernel and memory. It is compared in all
 * that it is made of, so it is never another one's; what is new is made.
 */
export class KnownLaunches {
  private last: KnownLaunch | null = null;
  private count = 0;
  private readonly byMemory = new Map<Kernel, Map<string, KnownLaunch[]>>();

  constructor(private readonly gpu: GpuDevice) {}

  /** What came behind the last launch before, if a dispatch is of the same kernel, memory and element types. */
  expected(dispatch: Dispatch): KnownLaunch | null {
    const next = this.last?.next ?? null;
    return next?.isLike(dispatch) ? next : null;
  }

  /** @param submitted the last submission whose launches the device has seen @param programOf compiles the kernel, for the first launch of its kind */
  find(dispatch: Dispatch, submitted: number, programOf: () => GpuProgram): KnownLaunch {
    const found = this.lookUp(dispatch, this.expected(dispatch), submitted, programOf);
    if (this.last) this.last.next = found;
    return (this.last = found);
  }

  clear(): void {
    this.byMemory.clear();
    this.last = null;
    this.count = 0;
  }

  private lookUp(
    dispatch: Dispatch,
    expected: KnownLaunch | null,
    submitted: number,
    programOf: () => GpuProgram,
  ): KnownLaunch {
    const params = packParams(dispatch.kernel, dispatch.params);
    const alike = expected?.alike ?? this.allOver(dispatch);
    const like = expected ?? alike.find((launch) => launch.isLike(dispatch));
    const program = like?.program ?? programOf();
    const width = Math.min(dispatch.groupSize ?? GROUP_WIDTH, this.gpu.maxGroupSize ?? GROUP_WIDTH, program.maxThreads);
    const groups = groupsOf(dispatch, width);
    if (expected?.hasExtent(params, groups, width)) return expected;
    for (const launch of alike)
      if (launch.hasExtent(params, groups, width) && (launch === like || launch.isLike(dispatch))) return launch;
    // One that differs in its parameters only and is not waiting to be submitted gives its place, with what the device has prepared for it.
    const isFree = (launch: KnownLaunch): boolean =>
      launch.usedIn <= submitted && launch.width === width && launch.isLike(dispatch);
    const before = expected && isFree(expected) ? expected : alike.find(isFree);
    const { kernel, inputs, outputs } = dispatch;
    const launch = new KnownLaunch(
      kernel,
      program,
      before?.blocks ?? [...inputs, ...outputs].map((buffer) => (buffer as GpuBuffer).block!),
      inputs.length,
      before?.types ?? [...inputs, ...outputs].map(({ dtype }) => dtype),
      params.slice(),
      groups,
      width,
      alike,
    );
    if (before) {
      launch.prepared = before.prepared;
      launch.next = before.next;
      alike[alike.indexOf(before)] = launch;
    } else {
      alike.push(launch);
      this.count++;
    }
    return launch;
  }

  /** The launches of a kernel over the same memory. */
  private allOver({ kernel, inputs, outputs }: Dispatch): KnownLaunch[] {
    if (this.count >= MOST_LAUNCHES_KEPT) this.clear();
    let ofKernel = this.byMemory.get(kernel);
    if (!ofKernel) this.byMemory.set(kernel, (ofKernel = new Map<string, KnownLaunch[]>()));
    const key = idsOf(inputs) + idsOf(outputs);
    let alike = ofKernel.get(key);
    if (!alike) ofKernel.set(key, (alike = []));
    return alike;
  }
}

function idsOf(buffers: readonly Buffer[]): string {
  let ids = ';';
  for (const buffer of buffers) ids += `,${(buffer as GpuBuffer).block!.id}`;
  return ids;
}

const groupsOf = ({ kernel, grid, groupSize }: Dispatch, width: number): number =>
  kernel.layout === 'groups'
    ? Math.min(grid, groupSize === undefined ? MOST_SHARED_GROUPS : MOST_GROUPS)
    : Math.min(Math.ceil(grid / width), MOST_GROUPS);
