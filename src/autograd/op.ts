import { describe, isPlainObject } from '../tensor/arguments.js';
import type { Arena, Buffer, DType } from '../backends/backend.js';
import type { Dispatch } from '../backends/kernel.js';
import { DeviceError, DTypeError, UnsupportedOpError, ValueError } from '../errors.js';
import { isStorage, promote } from '../tensor/dtype.js';
import type { Shape } from '../tensor/shape.js';
import { Tensor, type Trace } from '../tensor/tensor.js';
import { sizeOf } from '../tensor/shape.js';
import { primitives } from './primitives.js';
import type { Cotangent } from './cotangents.js';
import { type Node, recordingTapes, type Tape } from './tape.js';
import { isRecorded, regionFor } from './trace.js';

/** Shape and dtype of a result. */
export interface Spec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** What an op's vjp sees of the forward pass. */
export interface Context<Attrs> {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly attrs: Attrs;
  /** Further outputs of the kernel, kept for the backward pass. They are values only: derivatives of them are not known. */
  readonly saved: readonly Tensor[];
  /** Which inputs want a cotangent. */
  readonly needs: readonly boolean[];
}

/** Launches kernels for one application of an op. */
export interface Launcher {
  readonly device: Tensor['device']['name'];
  /** The inputs' buffers, then the outputs'. */
  readonly inputs: readonly Buffer[];
  readonly outputs: readonly Buffer[];
  launch(dispatch: Dispatch): void;
  /** Device memory for the time of this call. */
  scratch(dtype: DType, length: number): Buffer;
}

/** Everything that tapegrad knows of an op, in one place. */
export interface OpSpec<Attrs> {
  readonly name: string;
  /** Shapes and dtypes of the outputs, or a typed error. The first output is the result; the others are saved for the vjp. */
  infer(inputs: readonly Tensor[], attrs: Attrs): Spec | readonly Spec[];
  /** Launches the kernels. Called only when there is something to compute; `outputs` is what `infer` gave. */
  run?(launcher: Launcher, inputs: readonly Tensor[], attrs: Attrs, outputs: readonly Spec[]): void;
  /**
   * Cotangents of the inputs for the cotangent of the result, written in ops, so that it can be differentiated again; null where an
   * input has none. Without it the op is not differentiable, and its result is a constant to every transform. What it computes and does not
   * return is recycled when it returns.
   */
  readonly vjp?: (cotangent: Tensor, context: Context<Attrs>) => readonly (Cotangent | null)[];
  /**
   * Like `run`, but adds the result to what the output holds. Ops that are adjoints have it: their results are parts of sums, and a vjp that
   * gives them as `op.later(...)` saves the tensor for a part.
   */
  addTo?(launcher: Launcher, inputs: readonly Tensor[], attrs: Attrs): void;
  /** Whether the vjp reads the result or what was saved; if not, their memory goes back before it runs. True when left out. */
  readonly readsResult?: boolean;
  /** Set by ops that only look at the same memory in another shape: the result shares the first input's buffer and nothing runs. */
  readonly alias?: boolean;
  /** Set by ops that move elements without computing: they take float16 and bfloat16 as they are. Others compute those in float32. */
  readonly movesOnly?: boolean;
  /** For each output the input that has its shape and dtype and is read, element by element, before the output is written. */
  readonly rewrites?: readonly number[];
}

/** Applies an op to tensors and attributes. */
export interface OpFunction<Attrs> {
  (inputs: readonly Tensor[], attrs: Attrs): Tensor;
  /** The application put off, for a vjp to return: the backward pass adds it to the cotangent that it is a part of. The op must have `addTo`. */
  later(inputs: readonly Tensor[], attrs: Attrs): Deferred;
}

/** An application of an op that has been put off. */
export interface Deferred extends Spec {
  readonly inputs: readonly Tensor[];
  /** Whether a transform records its inputs, and so has to record the op itself. */
  readonly isRecorded: boolean;
  /** The result as a tensor of its own. */
  apply(): Tensor;
  /** Adds the result to what a buffer of its size holds. */
  addTo(sum: Buffer): void;
}

/** @internal All ops by name; exported for the suites that run over it. */
export const registry = new Map<string, OpSpec<never>>();

/**
 * Registers an op and returns the function that applies it to tensors and attributes.
 *
 * ```ts
 * const kernel: Kernel = { name: 'cube', family: 'cube', inputs: ['x'], outputs: ['out'], params: { size: 'u32' } };
 * registerKernel('cpu', kernel, ({ inputs: [x], outputs: [out] }) => x!.forEach((v, i) => { out![i] = v ** 3; }));
 * const cube = defineOp<null>({
 *   name: 'cube',
 *   infer: ([x]) => x!,
 *   run: (call, [x]) => call.launch({ kernel, inputs: call.inputs, outputs: call.outputs, params: { size: x!.size }, grid: x!.size }),
 *   vjp: (g, { inputs: [x] }) => [mul(g, mul(3, square(x!)))],
 * });
 * ```
 * docs/kernels.md runs this, with the kernel for a GPU beside it.
 * A kernel that the device does not have is an UnsupportedOpError, never a detour over another device. For a function made of existing
 * ops with a derivative of its own, see `customVjp`.
 */
export function defineOp<Attrs>(spec: OpSpec<Attrs>): OpFunction<Attrs> {
  const given: unknown = spec;
  if (!isPlainObject(given) || typeof given.name !== 'string' || given.name === '' || typeof given.infer !== 'function')
    throw new ValueError('defineOp', `the op is ${describe(given)}; it must be an object: { name, infer, run, vjp }`);
  if (registry.has(spec.name)) throw new ValueError('defineOp', `an op named '${spec.name}' exists already`);
  if (!spec.run && !spec.alias)
    throw new ValueError('defineOp', `op '${spec.name}' has no run(): nothing would compute its result`);
  registry.set(spec.name, spec);
  const op = (inputs: readonly Tensor[], attrs: Attrs): Tensor => apply(spec, inputs, attrs)[0]!;
  return Object.assign(op, {
    later: (inputs: readonly Tensor[], attrs: Attrs): Deferred => new Application(spec, inputs, attrs),
  });
}

/** An application that a backward pass carries out as it thinks best. */
class Application<Attrs> implements Deferred {
  readonly shape: Shape;
  readonly dtype: DType;

  constructor(
    private readonly spec: OpSpec<Attrs>,
    readonly inputs: readonly Tensor[],
    private readonly attrs: Attrs,
  ) {
    const { shape, dtype } = specsOf(spec, inputs, attrs)[0]!;
    this.shape = shape;
    this.dtype = dtype;
  }

  get isRecorded(): boolean {
    return this.inputs.some(isRecorded);
  }

  apply(): Tensor {
    return apply(this.spec, this.inputs, this.attrs)[0]!;
  }

  addTo(sum: Buffer): void {
    const { spec, inputs, attrs } = this;
    for (const input of inputs) if (!input.buffer.alive) input.checkAlive(spec.name);
    if (sum.length === 0) return;
    const region = regionFor(inputs);
    const call = new Call(spec.name, inputs, [sum], region?.on(sum.backend) ?? null);
    try {
      spec.addTo!(call, inputs, attrs);
    } finally {
      call.finish();
    }
  }
}

function specsOf<Attrs>(spec: OpSpec<Attrs>, inputs: readonly Tensor[], attrs: Attrs): readonly Spec[] {
  const inferred = spec.infer(inputs, attrs);
  return Array.isArray(inferred) ? (inferred as readonly Spec[]) : [inferred as Spec];
}

/** Applies an op with several results. An output that `rewrites` an input flagged as given up is written over it, and the input is dead. */
export type MultiOpFunction<Attrs> = (
  inputs: readonly Tensor[],
  attrs: Attrs,
  givenUp?: readonly boolean[] | null,
) => Tensor[];

/** Like `defineOp`, for ops whose further outputs are wanted by the caller. Only the first is differentiable. */
export function defineMultiOp<Attrs>(spec: OpSpec<Attrs>): MultiOpFunction<Attrs> {
  defineOp(spec);
  return (inputs, attrs, givenUp = null) => apply(spec, inputs, attrs, givenUp);
}

function apply<Attrs>(
  spec: OpSpec<Attrs>,
  inputs: readonly Tensor[],
  attrs: Attrs,
  givenUp: readonly boolean[] | null = null,
): Tensor[] {
  let hasStorage = false;
  for (const input of inputs as readonly unknown[]) {
    if (!(input instanceof Tensor))
      throw new DTypeError(
        spec.name,
        `an input is ${Array.isArray(input) ? 'an array' : typeof input}, not a tensor; write tensor(data)`,
      );
    hasStorage ||= isStorage(input.dtype);
  }
  if (hasStorage && !spec.movesOnly) {
    const storage = inputs.map((t) => t.dtype).reduce(promote); // wider where an input is
    const wide = inputs.map((t) => (isStorage(t.dtype) ? primitives.cast(t, 'float32') : t));
    return apply(spec, wide, attrs).map((t) => (t.dtype === 'float32' ? primitives.cast(t, storage) : t));
  }
  const { device } = inputs[0]!;
  for (const input of inputs) {
    if (input.device !== device)
      throw new DeviceError(
        spec.name,
        `tensors on '${device.name}' and '${input.device.name}' in one op; move one with x.to(device)`,
      );
    if (!input.buffer.alive) input.checkAlive(spec.name);
  }
  const specs = specsOf(spec, inputs, attrs);
  const region = spec.alias ? null : regionFor(inputs);
  const arena = region?.on(device) ?? null;
  const outputs: Buffer[] = [];
  let length = 0;
  if (spec.alias) outputs.push(inputs[0]!.buffer);
  else
    for (let i = 0; i < specs.length; i++) {
      const { dtype, shape } = specs[i]!;
      const over = givenUp ? spec.rewrites?.[i] : undefined;
      const output =
        over !== undefined && givenUp![over]
          ? device.renew(inputs[over]!.buffer)
          : device.allocate(dtype, sizeOf(shape), arena);
      outputs.push(output);
      length += output.length;
      region?.note(output);
    }
  if (length > 0 && spec.run) {
    const call = new Call(spec.name, inputs, outputs, arena);
    try {
      spec.run(call, inputs, attrs, specs);
    } finally {
      call.finish();
    }
  }
  const results: Tensor[] = [];
  for (let i = 0; i < specs.length; i++) results.push(new Tensor(outputs[i]!, specs[i]!.shape, null, spec.name));
  if (spec.vjp) {
    const tapes = recordingTapes(inputs);
    if (tapes.length > 0) results[0] = record(spec, inputs, attrs, results, tapes, false);
  }
  return results;
}

/** @internal Adds an application to every tape that traces an input; the result carries one trace entry for each. */
export function record<Attrs>(
  spec: OpSpec<Attrs>,
  inputs: readonly Tensor[],
  attrs: Attrs,
  results: readonly Tensor[],
  tapes: readonly Tape[] = recordingTapes(inputs),
  isCustom = true,
): Tensor {
  const untraced = results[0]!;
  const saved = results.length > 1 ? results.slice(1) : NONE;
  const node: Node = { op: spec, inputs, output: untraced, attrs, saved, isCustom };
  let trace: Trace | null = null;
  for (const tape of tapes) trace = { tape, id: tape.add(node), next: trace };
  return (node.output = new Tensor(untraced.buffer, untraced.shape, trace, spec.name));
}

/** What most ops save besides their result. */
const NONE: readonly Tensor[] = [];

/** One application of an op: where its launches go. */
class Call implements Launcher {
  readonly device: Tensor['device']['name'];
  readonly inputs: readonly Buffer[];
  private scratches: Buffer[] | null = null;
  constructor(
    private readonly op: string,
    inputs: readonly Tensor[],
    readonly outputs: readonly Buffer[],
    private readonly arena: Arena | null,
  ) {
    this.device = inputs[0]!.device.name;
    this.inputs = inputs.map((t) => t.buffer);
  }

  launch(dispatch: Dispatch): void {
    const { backend } = this.outputs[0]!;
    if (!backend.has(dispatch)) {
      const dtypes = [...new Set([...dispatch.inputs, ...dispatch.outputs].map((buffer) => buffer.dtype))];
      throw new UnsupportedOpError(this.op, dtypes.join('/'), backend.name);
    }
    backend.dispatch(dispatch, this.arena, this.op);
  }

  scratch(dtype: DType, length: number): Buffer {
    const buffer = this.outputs[0]!.backend.allocate(dtype, length, this.arena);
    (this.scratches ??= []).push(buffer);
    return buffer;
  }

  /** Nothing refers to the scratch memory any more. */
  finish(): void {
    if (this.scratches) for (const buffer of this.scratches) buffer.backend.discard(buffer);
  }
}
