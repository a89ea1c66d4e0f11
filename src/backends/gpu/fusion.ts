/**
 * Elementwise launches that follow one another, as one kernel: what one computes the next finds in a register, and what nothing reads any more when the
 * kernel is launched is not written at all. The bits are those of one launch after the other.
 */
import type { DType } from '../backend.js';
import { type Dispatch, type Kernel, packParams, type ParamType } from '../kernel.js';
import type { GpuProgram } from './device.js';
import type { FusedSource, FusedStep } from './dialect.js';
import { GROUP_WIDTH } from './limits.js';
import type { Block, GpuBuffer } from './memory.js';

/** Launches that become one at most: each of them lengthens what has to be compiled. */
const MOST_STEPS = 8;

/** Combinations that are remembered. */
const MOST_KNOWN = 4096;

/** A launch that waits for its neighbours. */
export interface Waiting {
  readonly dispatch: Dispatch;
  /** The program that it runs by itself. */
  readonly program: GpuProgram;
  /** The inputs' memory, then the outputs'. */
  readonly blocks: readonly Block[];
  readonly op: string;
}

/** Where the elements of a strided operand lie. */
interface View {
  readonly rank: number;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly strides: readonly number[];
}

/** A launch that can be part of a chain. */
interface Step {
  readonly waiting: Waiting;
  /** How each operand is read. */
  readonly accesses: readonly Access[];
  readonly size: number;
  readonly buffer: GpuBuffer;
  /** Where it writes to: a buffer may have lost its block by the time of the launch. */
  readonly block: Block;
}

/** What became of a chain: one launch of a program, over these blocks. */
export interface Fused {
  readonly program: GpuProgram;
  readonly blocks: readonly Block[];
  readonly params: Uint32Array;
  readonly size: number;
}

/** A combination that has been met. */
interface Known {
  readonly kernel: Kernel;
  readonly program: GpuProgram;
  isReady: boolean;
}

/** Makes the program of a combination. */
export type Fuse = (
  kernel: Kernel,
  inputs: readonly DType[],
  outputs: readonly DType[],
  steps: readonly FusedStep[],
) => GpuProgram;

/** How an operand is read for the elements of a result in their order. */
type Access = 'element' | 'first' | View;

function accessOf(rank: number, shape: readonly number[], offset: number, strides: readonly number[]): Access {
  if (rank === 1 && offset === 0 && shape[0]! > 1) {
    if (strides[0] === 1) return 'element';
    if (strides[0] === 0) return 'first';
  }
  let size = 1;
  let isWhole = offset === 0;
  let isOne = offset === 0;
  for (let axis = rank - 1; axis >= 0; axis--) {
    if (strides[axis] !== size) isWhole = false;
    if (strides[axis] !== 0) isOne = false;
    size *= shape[axis]!;
  }
  if (isOne || (size === 1 && offset === 0)) return 'first';
  return isWhole ? 'element' : { rank, shape, offset, strides };
}

const STRIDES = ['xStrides', 'yStrides', 'zStrides'] as const;

/** How each operand is read; null for a launch that is no step: it is not elementwise, or does not write its results in their order. */
function accessesOf({ kernel, params, outputs, inputs }: Dispatch): readonly Access[] | null {
  const { elementwise, name, family } = kernel;
  const { rank, shape } = params as { rank: number; shape: readonly number[] };
  if (elementwise) return inputs.map((_, i) => accessOf(rank, shape, 0, params[STRIDES[i]!] as readonly number[]));
  if (name !== 'copy' || family !== 'copy') return null;
  const { sourceOffset, sourceStrides, outOffset, outStrides } = params as Readonly<Record<string, number>> &
    Readonly<Record<'sourceStrides' | 'outStrides', readonly number[]>>;
  let size = 1;
  for (let axis = rank - 1; axis >= 0; axis--) {
    if (outStrides[axis] !== size && shape[axis] !== 1) return null;
    size *= shape[axis]!;
  }
  if (outOffset !== 0 || size !== outputs[0]!.length) return null;
  return [accessOf(rank, shape, sourceOffset!, sourceStrides)];
}

/** A launch as a step, if it can be one. */
export function stepOf(waiting: Waiting): Step | null {
  const accesses = accessesOf(waiting.dispatch);
  if (!accesses) return null;
  const buffer = waiting.dispatch.outputs[0] as GpuBuffer;
  return { waiting, accesses, size: buffer.length, buffer, block: waiting.blocks.at(-1)! };
}

export class Chain {
  private steps: Step[] = [];
  private sources: FusedSource[][] = [];
  private reads: { readonly block: Block; readonly dtype: DType }[] = [];
  private views: View[] = [];
  private key = '';
  private size = 1;
  /** Combinations by what makes them up; null for one that has been met once: what is not met again is not worth compiling. */
  private readonly known = new Map<string, Known | null>();
  private readonly numbers = new Map<GpuProgram, number>();

  constructor(
    private readonly fuse: Fuse,
    private readonly maxBuffers: number,
    /** Told of programs that are being compiled. */
    private readonly onPending: (ready: Promise<void>) => void,
  ) {}

  get length(): number {
    return this.steps.length;
  }

  /** Whether one of the launches writes a block. */
  writes(block: Block): boolean {
    return this.writerOf(block) >= 0;
  }

  /** The last launch that writes a block; -1 if none does. */
  private writerOf(block: Block): number {
    let at = this.steps.length - 1;
    while (at >= 0 && this.steps[at]!.block !== block) at--;
    return at;
  }

  /** Takes a launch in; false where it does not fit behind the others. */
  add(step: Step): boolean {
    const { reads, views } = this;
    const { size, waiting, block } = step;
    if (this.steps.length === MOST_STEPS || (size !== this.size && size !== 1 && this.size !== 1)) return false;
    const [readBefore, viewsBefore] = [reads.length, views.length];
    const sources = this.sourcesOf(step);
    // A buffer is either read or written by a launch, not both.
    if (
      !sources ||
      reads.some((read) => read.block === block) ||
      reads.length + this.steps.length + 1 > this.maxBuffers
    ) {
      if (reads.length > readBefore) reads.length = readBefore;
      if (views.length > viewsBefore) views.length = viewsBefore;
      return false;
    }
    this.size = Math.max(this.size, size);
    this.steps.push(step);
    this.sources.push(sources);
    this.key += `${this.numberOf(waiting.program)}${size === 1 ? '.' : ':'}`;
    for (const source of sources)
      this.key += source.kind === 'step' ? `s${source.step},` : `${source.kind[0]!}${source.buffer},`;
    return true;
  }

  /** Where a step finds its operands, with the buffers and views that it adds; null where one has to be complete before it is read. */
  private sourcesOf({ waiting: { dispatch, blocks }, accesses, size }: Step): FusedSource[] | null {
    const { steps, reads, views } = this;
    const sources: FusedSource[] = [];
    for (let i = 0; i < accesses.length; i++) {
      const [access, block] = [accesses[i]!, blocks[i]!];
      const writer = this.writerOf(block);
      if (writer >= 0) {
        const made = steps[writer]!.size;
        if (made === size ? access !== 'element' && size !== 1 : made !== 1 || access !== 'first') return null;
        sources.push({ kind: 'step', step: writer });
        continue;
      }
      const { dtype } = dispatch.inputs[i]!;
      let buffer = reads.findIndex((read) => read.block === block && read.dtype === dtype);
      if (buffer < 0) buffer = reads.push({ block, dtype }) - 1;
      if (typeof access === 'string') sources.push({ kind: access, buffer });
      else sources.push({ kind: 'view', buffer, view: views.push(access) - 1 });
    }
    return sources;
  }

  /** Ends the chain. What comes back is one launch for all of them, or null: then they are to be launched one by one. */
  end(): { readonly waiting: readonly Waiting[]; readonly fused: Fused | null } {
    const { steps } = this;
    if (steps.length === 1) {
      const { waiting } = steps[0]!;
      this.begin();
      return { waiting: [waiting], fused: null };
    }
    const fused = this.together();
    const waiting = steps.map((step) => step.waiting);
    this.begin();
    return { waiting, fused };
  }

  private begin(): void {
    this.steps = [];
    this.sources = [];
    this.reads = [];
    this.views = [];
    this.key = '';
    this.size = 1;
  }

  private together(): Fused | null {
    const { steps, reads, views, size } = this;
    // A buffer that has been given up since cannot be read any more; who had asked before still reads its block.
    const isWritten: boolean[] = [];
    const blocks: Block[] = [];
    for (const { block } of reads) blocks.push(block);
    for (let i = 0; i < steps.length; i++) {
      const { buffer, block } = steps[i]!;
      isWritten[i] = (buffer.block === block || block.readers > 0) && this.writerOf(block) === i;
      if (isWritten[i]) blocks.push(block);
    }
    if (blocks.length === reads.length) return null;
    const made = this.programOf(isWritten);
    if (!made) return null;
    const params: Record<string, number | readonly number[]> = { size };
    for (let i = 0; i < views.length; i++) {
      const { rank, offset, shape, strides } = views[i]!;
      params[`rank${i}`] = rank;
      params[`offset${i}`] = offset;
      params[`shape${i}`] = shape;
      params[`strides${i}`] = strides;
    }
    return { program: made.program, blocks, params: packParams(made.kernel, params), size };
  }

  /** The program of the chain as it is now, if it has been met before and is compiled by now. It may never be: nobody needs to know. */
  private programOf(isWritten: readonly boolean[]): Known | null {
    let key = this.key;
    for (const flag of isWritten) key += flag ? '1' : '0';
    const known = this.known.get(key);
    if (known) return known.isReady ? known : null;
    if (this.known.size >= MOST_KNOWN) this.known.clear();
    const made = known === null ? { ...this.make(isWritten), isReady: false } : null;
    this.known.set(key, made);
    if (made) {
      const { program } = made;
      const pending = Promise.all([program.ready, program.prepare?.(GROUP_WIDTH)]).then(
        () => {
          made.isReady = true;
        },
        () => undefined,
      );
      this.onPending(pending);
    }
    return null;
  }

  private make(isWritten: readonly boolean[]): { kernel: Kernel; program: GpuProgram } {
    let target = 0;
    const steps = this.steps.map(({ waiting: { dispatch }, size }, i): FusedStep => {
      const { kernel, inputs, outputs } = dispatch;
      return {
        kernel,
        types: [...inputs, ...outputs].map(({ dtype }) => dtype),
        sources: this.sources[i]!,
        isOne: size === 1,
        target: isWritten[i] ? target++ : null,
      };
    });
    const inputs = this.reads.map(({ dtype }) => dtype);
    const outputs = this.steps.filter((_, i) => isWritten[i]).map(({ buffer }) => buffer.dtype);
    const params: Record<string, ParamType> = { size: 'u32' };
    this.views.forEach((_, i) => {
      params[`rank${i}`] = 'u32';
      params[`offset${i}`] = 'i32';
      params[`shape${i}`] = 'u32x8';
      params[`strides${i}`] = 'i32x8';
    });
    const kernel: Kernel = {
      name: steps.map((step) => step.kernel.name).join('_'),
      family: 'elementwise',
      inputs: inputs.map((_, i) => `in${i}`),
      outputs: outputs.map((_, i) => `out${i}`),
      params,
    };
    return { kernel, program: this.fuse(kernel, inputs, outputs, steps) };
  }

  private numberOf(program: GpuProgram): number {
    let number = this.numbers.get(program);
    if (number === undefined) this.numbers.set(program, (number = this.numbers.size));
    return number;
  }
}
