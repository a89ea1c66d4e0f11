import { GradientError } from '../errors.js';
import { zerosLike } from '../tensor/create.js';
import { currentRegion, enteredRegions, withinRegion } from '../tensor/device.js';
import { isFloat } from '../tensor/dtype.js';
import { Region } from '../tensor/region.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import { Tensor, type Trace, type TraceOwner } from '../tensor/tensor.js';
import type { OpSpec } from './op.js';
import { primitives } from './primitives.js';

/** One application of an op, as a tape remembers it. */
export interface Node {
  readonly op: OpSpec<never>;
  readonly inputs: readonly Tensor[];
  /** Carries the traces of every tape that holds the node, so that a vjp can be differentiated by the tapes further out. */
  output: Tensor;
  readonly attrs: unknown;
  readonly saved: readonly Tensor[];
}

/**
 * The record of one transform. Tensors that depend on its inputs carry it with them, so nothing here is global and an async function
 * can be traced while others run. Nodes are in order of execution; the backward pass walks them once, from the last to the first.
 */
export class Tape implements TraceOwner {
  readonly region: Region;
  private readonly ownsRegion: boolean;
  private readonly nodes: (Node | null)[] = []; // null for an input
  private isRecording = true;

  /** A tape for these inputs; inside another transform it shares that one's region. */
  constructor(inputs: readonly Tensor[]) {
    const outer = regionOf(inputs);
    this.ownsRegion = outer === null;
    this.region = outer ?? new Region();
  }

  get recording(): boolean {
    return this.isRecording;
  }

  /** A tensor that is this one, traced. */
  watch(t: Tensor): Tensor {
    return new Tensor(t.buffer, t.shape, { tape: this, id: this.nodes.push(null) - 1, next: t.trace }, t.origin);
  }

  /** Adds a node and returns its position. */
  add(node: Node): number {
    return this.nodes.push(node) - 1;
  }

  /** The position of a tensor on this tape, or -1. */
  idOf(t: Tensor): number {
    for (let trace = t.trace; trace; trace = trace.next) if (trace.tape === this) return trace.id;
    return -1;
  }

  /** The application that made a tensor, or null where this tape does not know one. */
  producerOf(t: Tensor): Node | null {
    const id = this.idOf(t);
    return id < 0 ? null : (this.nodes[id] ?? null);
  }

  /**
   * Cotangents of `inputs` for the cotangents of `outputs`. Ends recording: the vjps of the ops are themselves ops, and are recorded
   * by the tapes further out only.
   */
  backward(outputs: readonly Tensor[], cotangents: readonly Tensor[], inputs: readonly Tensor[]): Tensor[] {
    this.isRecording = false;
    return withinRegion(this.region, () => {
      const found = new Array<Tensor | undefined>(this.nodes.length);
      const accumulate = (t: Tensor, cotangent: Tensor | null | undefined): void => {
        const id = this.idOf(t);
        if (id < 0 || !cotangent) return;
        const own = isFloat(t.dtype) ? primitives.cast(cotangent, t.dtype) : cotangent;
        const before = found[id];
        found[id] = before ? primitives.add(before, own) : own;
      };
      outputs.forEach((output, i) => {
        accumulate(output, cotangents[i]);
      });
      for (let id = this.nodes.length - 1; id >= 0; id--) {
        const node = this.nodes[id];
        const cotangent = found[id];
        if (!node || !cotangent) continue;
        found[id] = undefined;
        const { vjp } = node.op;
        if (!vjp) continue;
        const needs = node.inputs.map((input) => this.idOf(input) >= 0);
        const parts = vjp(cotangent, {
          inputs: node.inputs,
          output: node.output,
          attrs: node.attrs as never,
          saved: node.saved,
          needs,
        });
        node.inputs.forEach((input, i) => {
          const part = needs[i] ? parts[i] : null;
          if (part && !sameShape(part.shape, input.shape))
            throw new GradientError(
              node.op.name,
              `its vjp gave input ${i}, which is ${formatShape(input.shape)}, a cotangent of shape ${formatShape(part.shape)}`,
            );
          accumulate(input, part);
        });
      }
      return inputs.map((input) => found[this.idOf(input)] ?? zerosLike(input));
    });
  }

  /** A result of the transform as the caller gets it: without this tape, and in memory that outlives it. */
  detach(t: Tensor): Tensor {
    const trace = without(t.trace, this);
    if (this.ownsRegion) this.region.release(t.buffer, currentRegion());
    return trace === t.trace ? t : new Tensor(t.buffer, t.shape, trace, t.origin);
  }

  /** Forgets the nodes and recycles the region, if it is this tape's own. */
  close(): void {
    this.isRecording = false;
    this.nodes.length = 0;
    if (this.ownsRegion) this.region.close();
  }
}

function without(trace: Trace | null, tape: TraceOwner): Trace | null {
  if (!trace) return null;
  const next = without(trace.next, tape);
  if (trace.tape === tape) return next;
  return next === trace.next ? trace : { tape: trace.tape, id: trace.id, next };
}

/** The region that a result of these inputs belongs to: the oldest of their tapes' regions. The younger ones hand their memory over to it. */
export function regionOf(inputs: readonly Tensor[]): Region | null {
  let oldest: Region | null = null;
  for (const input of inputs) {
    for (let trace = input.trace; trace; trace = trace.next) {
      const { region }: TraceOwner = trace.tape;
      if (region !== oldest) oldest = oldest ? Region.oldest(oldest, region) : region;
    }
  }
  // Untraced results of younger regions (backward passes, scope(fn)) that meet these inputs are wanted by the older tape as well.
  if (oldest) for (const region of enteredRegions()) if (region.isYoungerThan(oldest)) Region.oldest(oldest, region);
  return oldest;
}

/** The tapes that record an op on these inputs. */
export function recordingTapes(inputs: readonly Tensor[]): Tape[] {
  const tapes: Tape[] = [];
  for (const input of inputs) {
    for (let trace = input.trace; trace; trace = trace.next) {
      const tape = trace.tape as Tape;
      if (tape.recording && !tapes.includes(tape)) tapes.push(tape);
    }
  }
  return tapes;
}
