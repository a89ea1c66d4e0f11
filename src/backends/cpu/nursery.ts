import { OutOfMemoryError } from '../../errors.js';
import { type Backend, BYTES, type DType, type TypedArray } from '../backend.js';
import type { Dispatch, Kernel } from '../kernel.js';
import { functionOf } from '../registry.js';
import { CpuArena, CpuBuffer } from './buffer.js';
import { align, heap } from './heap.js';
import { dropCopy, isHandedOut } from './resident.js';

/**
 * Results of elementwise ops, of copies (transpose, concat and the like) and of softmax outside of scopes. Nothing tells within a turn of the event loop which of
 * them are still wanted; most are, by the next op, and then never again. So a result stays in the heap, where it was computed and the caches have it, until a few
 * more have come. Then it is forgotten rather than copied to memory that no cache has, which takes longer than an addition: it is known what it was made of.
 * Whoever does want it has it computed again, to the same bits, and for good; its kind is not put here the next times.
 */

/** Bytes of the least and of the largest result: smaller ones cost little anywhere, and larger ones are in no cache anyway. */
const LEAST = 2 ** 16;
const MOST = 2 ** 24;
/** What lies here at most, if not two results take more: half of what a core has for a cache of its own. */
const ROOM = 2 ** 20;
/** Ops that may have to be done again for one result, one after the other, and bytes that may be kept for that for each of its own: truth values count as numbers do. */
const DEEPEST = 8;
const MOST_KEPT = 4;
const LEAST_ELEMENT = 4;
/** Launches, at most, that write one result: a part each. */
const MOST_STEPS = 256;
/** Results of a kind that go elsewhere after one of it was computed again; twice as many each time, up to a point. */
const CAUTION = { first: 32, last: 2 ** 16 };
const MOST_KINDS = 1000;

/** A launch, and what went into it. */
interface Step {
  readonly launch: Dispatch;
  readonly inputs: readonly Source[];
}

/** Where contents come from that never change: an array, or launches, one after the other, that write it. */
export class Source {
  /** Whether something else is made of it: then the array must not be given to anybody who may write to it. */
  isShared = false;
  steps: Step[] = [];
  depth = 0;
  /** Bytes of the arrays that it is made of. */
  kept: number;

  constructor(
    readonly dtype: DType,
    readonly length: number,
    public array: TypedArray | null,
  ) {
    this.kept = length * BYTES[dtype];
  }

  /** From here on it is an array. */
  become(array: TypedArray): void {
    this.array = array;
    this.steps = [];
    this.depth = 0;
    this.kept = array.byteLength;
  }

  /** What the array will hold once this has run as well; false where that would be too much to keep or to do again. */
  add(launch: Dispatch, inputs: readonly Source[]): boolean {
    const depth = Math.max(this.depth, 1, ...inputs.map((input) => 1 + input.depth));
    const before = this.steps.length === 0 ? 0 : this.kept;
    const kept = [...new Set(inputs)].reduce((sum, input) => sum + input.kept, before);
    const most = MOST_KEPT * this.length * Math.max(BYTES[this.dtype], LEAST_ELEMENT);
    if (depth > DEEPEST || kept > most || this.steps.length === MOST_STEPS) return false;
    this.depth = depth;
    this.kept = kept;
    this.steps.push({ launch: { ...launch, inputs: [], outputs: [] }, inputs });
    for (const input of inputs) input.isShared = true;
    return true;
  }
}

/** Kernels whose results are not much dearer to compute again than to copy. */
const CHEAP: ReadonlySet<string> = new Set(['copy', 'fill', 'cast', 'softmax', 'logSoftmax']);
/** Those that may write, or add to, what an earlier launch has begun. */
const PARTS: ReadonlySet<string> = new Set(['copy', 'accumulate', 'takeAdjoint', 'scatterAlongAxis']);

const isOneOf = (names: ReadonlySet<string>, kernel: Kernel): boolean =>
  names.has(kernel.name) && functionOf(kernel) === undefined;
const isCheap = ({ kernel }: Dispatch): boolean => kernel.elementwise !== undefined || isOneOf(CHEAP, kernel);

const kindOf = ({ name }: Kernel, length: number): string => `${name} ${length}`;

/** Gives a buffer, which is about to be written to, an array that nothing is made of. */
export function detach(buffer: CpuBuffer): void {
  const { source } = buffer;
  dropCopy(buffer);
  if (!source) return;
  if (buffer.arena) buffer.arena.moveOut(buffer);
  if (source.isShared && buffer.array) buffer.array = buffer.array.slice();
  buffer.source = null;
}

/** Ends a forgotten buffer: nobody will ask for it again. What was made of it knows for itself where that comes from. */
export function forsake(buffer: CpuBuffer): void {
  if (!buffer.source) return;
  buffer.pending = null;
  buffer.source = null;
}

export class Nursery extends CpuArena {
  /** What lies here, oldest first. */
  private readonly young: CpuBuffer[] = [];
  private held = 0;
  /** Kinds of results that were computed again: how many are still to go elsewhere, of how many. */
  private readonly lasting = new Map<string, { left: number; span: number }>();

  constructor(
    backend: Backend,
    private readonly run: (launch: Dispatch, arena: CpuArena) => void,
  ) {
    super(backend, () => undefined);
  }

  /** Whether a buffer waits for `adopt` to say where it goes. */
  mayTake(dtype: DType, length: number): boolean {
    return length * BYTES[dtype] >= LEAST;
  }

  /** Takes the result of a launch, if it could be computed again and there is memory. The launch comes next, and then `tidy()`. */
  adopt(launch: Dispatch): boolean {
    const { inputs, outputs } = launch;
    const output = outputs[0] as CpuBuffer;
    const { bytes } = output;
    if (!isCheap(launch) || outputs.length !== 1 || bytes < LEAST || bytes > MOST || this.lasts(launch)) return false;
    const sources = sourcesOf(inputs as readonly CpuBuffer[]);
    const source = new Source(output.dtype, output.length, null);
    if (!sources || !source.add(launch, sources)) return false;
    this.makeRoom(bytes, inputs as readonly CpuBuffer[]);
    if (!this.place(output)) return false;
    output.source = source;
    return true;
  }

  /** Goes on with a result that lies here, where the next launch writes a further part of it: of those joined together, or set into zeroes. */
  extend(launch: Dispatch): boolean {
    const { source } = launch.outputs[0] as CpuBuffer;
    if (!source || source.isShared || !isOneOf(PARTS, launch.kernel)) return false;
    const sources = sourcesOf(launch.inputs as readonly CpuBuffer[]);
    return sources !== null && !sources.includes(source) && source.add(launch, sources);
  }

  private lasts({ kernel, outputs }: Dispatch): boolean {
    if (this.lasting.size === 0) return false;
    const caution = this.lasting.get(kindOf(kernel, outputs[0]!.length));
    return caution !== undefined && caution.left > 0 && caution.left-- > 0;
  }

  private learn(kind: string): void {
    const { lasting } = this;
    if (lasting.size >= MOST_KINDS) lasting.clear(); // of shapes that come once
    const span = Math.min(2 * (lasting.get(kind)?.span ?? CAUTION.first / 2), CAUTION.last);
    lasting.set(kind, { left: span, span });
  }

  private place(buffer: CpuBuffer): boolean {
    try {
      buffer.address = this.pieces.allocate(buffer.bytes);
    } catch (error) {
      if (error instanceof OutOfMemoryError) return false;
      throw error;
    }
    buffer.arena = this;
    this.young.push(buffer);
    this.held += align(buffer.bytes);
    heap().used -= align(buffer.bytes); // as if it had left
    return true;
  }

  /** Forgets the oldest results for one that comes, so that it gets memory which the caches have, but not what it is made of. */
  private makeRoom(bytes: number, inputs: readonly CpuBuffer[]): void {
    const room = Math.max(ROOM, 2 * bytes) - align(bytes);
    for (const buffer of [...this.young]) {
      if (this.held <= room) return;
      if (!inputs.includes(buffer)) this.forget(buffer);
    }
  }

  /** Forgets the oldest results until there is room for one like the newest. */
  tidy(): void {
    const room = Math.max(ROOM, 2 * (this.young.at(-1)?.bytes ?? 0));
    while (this.held > room) this.forget(this.young[0]!);
  }

  private forget(buffer: CpuBuffer): void {
    const source = buffer.source!;
    const kind = kindOf(source.steps[0]!.launch.kernel, buffer.length);
    this.discard(buffer);
    buffer.pending = () => {
      if (!source.array) {
        const array = this.computeAgain(source);
        this.learn(kind);
        source.become(array);
      }
      buffer.array = source.array;
    };
  }

  private computeAgain(source: Source): TypedArray {
    const arena = new CpuArena(this.backend, () => undefined);
    const made = new Map<Source, CpuBuffer>();
    const make = (wanted: Source): CpuBuffer => {
      const known = made.get(wanted);
      if (known) return known;
      const { dtype, length, array, steps } = wanted;
      const buffer = array ? new CpuBuffer(this.backend, dtype, length, array) : arena.allocate(dtype, length);
      for (const { launch, inputs } of steps)
        this.run({ ...launch, inputs: inputs.map(make), outputs: [buffer] }, arena);
      made.set(wanted, buffer);
      return buffer;
    };
    try {
      return make(source).copy();
    } finally {
      arena.close();
    }
  }

  override moveOut(buffer: CpuBuffer): void {
    this.leave(buffer);
    super.moveOut(buffer);
    buffer.source?.become(buffer.array!);
  }

  override discard(buffer: CpuBuffer): void {
    this.leave(buffer);
    super.discard(buffer);
  }

  private leave(buffer: CpuBuffer): void {
    this.young.splice(this.young.indexOf(buffer), 1);
    this.held -= align(buffer.bytes);
    heap().used += align(buffer.bytes);
  }
}

/** What a result of these is made of; null if one of them may change, or may be anywhere. */
function sourcesOf(inputs: readonly CpuBuffer[]): Source[] | null {
  const found: Source[] = [];
  for (const input of inputs) {
    if (!input.source) {
      if (!input.array || input.arrival || isHandedOut(input)) return null;
      input.source = new Source(input.dtype, input.length, input.array);
    }
    found.push(input.source);
  }
  return found;
}
