import type { Buffer } from '../backends/backend.js';
import { GradientError, RecycledError } from '../errors.js';
import { ones, zerosLike } from '../tensor/create.js';
import { currentRegion, withinRegion } from '../tensor/device.js';
import { Region } from '../tensor/region.js';
import { formatShape, type Shape, sameShape } from '../tensor/shape.js';
import { Tensor, type Trace, type TraceOwner } from '../tensor/tensor.js';
import { claim, type Cotangent, Cotangents, unclaim, unpin } from './cotangents.js';
import type { OpSpec, Spec } from './op.js';
import { primitives } from './primitives.js';
import { isRecorded, regionFor } from './trace.js';

/** One application of an op, as a tape remembers it. */
export interface Node {
  readonly op: OpSpec<never>;
  readonly inputs: readonly Tensor[];
  /** Carries the traces of every tape that holds the node, so that a vjp can be differentiated by the tapes further out. */
  output: Tensor;
  readonly attrs: unknown;
  readonly saved: readonly Tensor[];
  /** Whether its vjp is a function of the user's, which may hold on to any tensor. */
  readonly isCustom: boolean;
}

/**
 * What `checkpoint` leaves of a function: how to compute it again. On a tape it is followed by an empty place for each of its results, where their
 * cotangents are summed up.
 */
export class Segment {
  constructor(
    /** Computes the results anew, on whatever tape records. */
    readonly again: () => readonly Tensor[],
    readonly results: readonly Spec[],
    /** The results' memory, as far as it was made inside. */
    readonly made: readonly Buffer[],
  ) {}
}

/** In the place of an application that is computed again when it is wanted: what came out of it some other way leads nowhere. */
const FORGOTTEN = Symbol('forgotten');

/** Tapes that have not been closed: what runs may add to any of them. */
const open: Tape[] = [];

/**
 * The record of one transform. Tensors that depend on its inputs carry it with them, so nothing here is global and an async function
 * can be traced while others run. Nodes are in order of execution; the backward pass walks them once, from the last to the first.
 */
export class Tape implements TraceOwner {
  /** Elements from which on a value is given back before its transform ends: for a few numbers that would cost more than it brings. */
  static leastDropped = 256;

  readonly region: Region;
  private readonly ownsRegion: boolean;
  private readonly nodes: (Node | Segment | typeof FORGOTTEN | null)[] = []; // null for an input, and for a segment's result
  private isRecording = true;
  /** Places that segments took when they were computed again: the backward pass's own. */
  private repeated = 0;
  private hasCustom = false;

  /** A tape for these inputs; inside another transform it shares that one's region. */
  constructor(inputs: readonly Tensor[]) {
    const around = regionFor(inputs);
    this.ownsRegion = !around?.isShared;
    this.region = around?.isShared ? around : new Region(true);
    open.push(this);
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
    added++;
    this.hasCustom ||= node.isCustom;
    return this.nodes.push(node) - 1;
  }

  /** Adds a segment and returns the position of its first result. */
  addSegment(segment: Segment): number {
    const first = this.nodes.push(segment);
    segment.results.forEach(() => this.nodes.push(null));
    added += 1 + segment.results.length;
    return first;
  }

  /** Grows when other tapes record something. */
  private get recorded(): number {
    return added - this.repeated;
  }

  /** The position of a tensor on this tape, or -1. */
  idOf(t: Tensor): number {
    for (let trace = t.trace; trace; trace = trace.next) if (trace.tape === this) return trace.id;
    return -1;
  }

  /** The application that made a tensor, or null where this tape does not know one. */
  producerOf(t: Tensor): Node | null {
    const found = this.nodes[this.idOf(t)];
    return !found || found === FORGOTTEN || found instanceof Segment ? null : found;
  }

  /** Runs the transform's function: what begins meanwhile shares its memory. */
  trace<T>(run: () => T): T {
    return withinRegion(this.region, run);
  }

  /**
   * Cotangents of `inputs` for the cotangents of `outputs`. Ends recording: the vjps of the ops are themselves ops, and are recorded
   * by the tapes further out only.
   * @param kept what the transform gives to its caller, if this is its last backward pass: then values go back to the memory as soon as their
   * node has been passed.
   */
  backward(
    outputs: readonly Tensor[],
    cotangents: readonly Tensor[],
    inputs: readonly Tensor[],
    kept: readonly Tensor[] | null = null,
  ): Tensor[] {
    this.isRecording = false;
    const { region } = this;
    const dropsValues = kept !== null && this.ownsRegion && !this.hasCustom;
    return withinRegion(region, () => {
      region.openJournal();
      kept?.forEach(claim);
      try {
        const sums = new Cotangents(region, this.nodes.length);
        outputs.forEach((output, i) => {
          const id = this.idOf(output);
          if (id < 0) return;
          claim(cotangents[i]!);
          sums.add(id, output, cotangents[i]!);
        });
        this.walk(0, sums, dropsValues);
        return inputs.map((input) => {
          const found = sums.take(this.idOf(input));
          if (!found) return zerosLike(input);
          unpin(found); // it is the caller's now
          return found;
        });
      } finally {
        kept?.forEach(unpin);
        region.closeJournal();
      }
    });
  }

  /** The derivatives of all elements of y by x, of the given shape: a backward pass for each. Their rows go into one tensor as they come. */
  jacobian(y: Tensor, x: Tensor, shape: Shape): Tensor {
    this.isRecording = false;
    const { region } = this;
    const one = ones([1], { dtype: y.dtype, device: y.device });
    const rowOf = (i: number): Tensor => {
      const unit = primitives.row(one, i, y.size).apply();
      return this.backward([y], [new Tensor(unit.buffer, y.shape, null, 'jacobian')], [x])[0]!;
    };
    return withinRegion(region, () => {
      // Tapes further out want the rows themselves.
      if (isRecorded(y))
        return primitives.stack(
          Array.from({ length: y.size }, (_, i) => rowOf(i)),
          shape,
        );
      region.openJournal();
      try {
        const sums = new Cotangents(region, 1);
        for (let i = 0; i < y.size; i++) {
          const { mark } = region;
          const before = this.recorded;
          const row = primitives.row(rowOf(i), i, y.size);
          claim(row);
          sums.add(0, x, row);
          if (this.recorded === before) region.sweep(mark);
        }
        const matrix = sums.take(0)!;
        unpin(matrix);
        return new Tensor(matrix.buffer, shape, matrix.trace, 'jacobian');
      } finally {
        region.closeJournal();
      }
    });
  }

  /** Passes cotangents on, from the last place of the tape to the given one. */
  private walk(end: number, sums: Cotangents, dropsValues: boolean): void {
    for (let id = this.nodes.length - 1; id >= end; id--) {
      const node = this.nodes[id];
      if (!node) continue;
      if (node === FORGOTTEN || node instanceof Segment) {
        this.passSegment(id, node, sums, dropsValues);
        continue;
      }
      const cotangent = sums.take(id);
      const drops = dropsValues && !node.op.alias;
      const early = drops && node.op.readsResult === false;
      if (early) this.drop(node);
      if (cotangent) this.pass(node, cotangent, sums);
      if (drops && !early) this.drop(node);
    }
  }

  /**
   * Computes a segment again, recording it at the end of the tape, and passes the cotangents of its results through what was recorded. What it reads from
   * outside, arguments or not, has its place on this tape, so all cotangents arrive where they belong.
   */
  private passSegment(id: number, segment: Segment | typeof FORGOTTEN, sums: Cotangents, dropsValues: boolean): void {
    if (segment === FORGOTTEN) {
      if (sums.take(id))
        throw new GradientError(
          'checkpoint',
          'a tensor that the function computed was used outside, though the function did not return it; return it as well, in an array or object',
        );
      return;
    }
    const { again, results, made } = segment;
    const cotangents = results.map((_, i) => sums.take(id + 1 + i));
    if (dropsValues) for (const buffer of made) this.dropBuffer(buffer);
    if (cotangents.every((cotangent) => !cotangent)) return;
    const { mark } = this.region;
    const before = this.recorded;
    const end = this.nodes.length;
    this.isRecording = true;
    let outputs: readonly Tensor[];
    try {
      outputs = withinRegion(this.region, again);
    } finally {
      this.isRecording = false;
      this.repeated += this.nodes.length - end;
    }
    outputs.forEach((output, i) => {
      const cotangent = cotangents[i];
      if (!cotangent) return;
      const at = this.idOf(output);
      if (at < 0) unclaim(cotangent);
      else sums.add(at, output, cotangent);
    });
    this.walk(end, sums, dropsValues);
    this.nodes.length = end;
    if (this.recorded === before) this.region.sweep(mark);
  }

  /** Passes a node's cotangent on to its inputs. What its vjp computed and does not give is recycled. */
  private pass(node: Node, cotangent: Tensor, sums: Cotangents): void {
    const { op, inputs } = node;
    if (!op.vjp) return unclaim(cotangent);
    const { mark } = this.region;
    const before = this.recorded;
    const ids: number[] = [];
    const needs: boolean[] = [];
    for (const input of inputs) {
      const id = this.idOf(input);
      ids.push(id);
      needs.push(id >= 0);
    }
    const { output, saved } = node;
    let parts: readonly (Cotangent | null)[];
    try {
      parts = op.vjp(cotangent, { inputs, output, attrs: node.attrs as never, saved, needs });
    } catch (error) {
      throw withAdvice(error, node);
    }
    for (let i = 0; i < inputs.length; i++) {
      const part = parts[i];
      if (!part || ids[i]! < 0) continue;
      if (!sameShape(part.shape, inputs[i]!.shape))
        throw new GradientError(
          op.name,
          `its vjp gave input ${i}, which is ${formatShape(inputs[i]!.shape)}, a cotangent of shape ${formatShape(part.shape)}`,
        );
      claim(part);
    }
    if (this.recorded !== before) cotangent.buffer.disposable = false; // it lies on a tape further out
    unclaim(cotangent);
    for (let i = 0; i < inputs.length; i++) {
      const part = parts[i];
      if (part && ids[i]! >= 0) sums.add(ids[i]!, inputs[i]!, part);
    }
    if (this.recorded === before) this.region.sweep(mark);
  }

  /** Gives back what a node computed, once all that it went into has been passed. */
  private drop({ output, saved }: Node): void {
    this.dropBuffer(output.buffer);
    if (saved.length > 0) for (const { buffer } of saved) this.dropBuffer(buffer);
  }

  private dropBuffer(buffer: Buffer): void {
    if (buffer.length < Tape.leastDropped || !this.region.holds(buffer)) return;
    if (buffer.claims > 0) buffer.disposable = true;
    else buffer.backend.discard(buffer);
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
    if (open.at(-1) === this) open.pop();
    else if (open.includes(this)) open.splice(open.indexOf(this), 1); // of an asynchronous transform
    if (this.ownsRegion) this.region.close();
  }

  /**
   * Runs a function as if no tape recorded it, and gives back the memory of what it computed.
   * @param keeps chooses what stays of it; where that is null everything does, on the tapes as well.
   * @returns the function's result, and the memory that was made in it and stays.
   */
  static forgetting<T>(
    region: Region,
    run: () => T,
    keeps: (result: T) => readonly Tensor[] | null,
  ): [result: T, made: readonly Buffer[]] {
    const ends = open.map((tape): [Tape, number] => [tape, tape.nodes.length]);
    region.openJournal();
    try {
      const { mark } = region;
      const result = withinRegion(region, run);
      const kept = keeps(result);
      if (!kept) return [result, []];
      for (const [tape, end] of ends) tape.nodes.fill(FORGOTTEN, end);
      const made = kept.map(({ buffer }) => buffer).filter((buffer) => region.hasMade(buffer, mark));
      kept.forEach(claim);
      region.sweep(mark);
      kept.forEach(unpin);
      return [result, made];
    } finally {
      region.closeJournal();
    }
  }
}

function without(trace: Trace | null, tape: TraceOwner): Trace | null {
  if (!trace) return null;
  const next = without(trace.next, tape);
  if (trace.tape === tape) return next;
  return next === trace.next ? trace : { tape: trace.tape, id: trace.id, next };
}

/** How a backward pass comes to miss values of its own: only after an `await` does a transform not know what it lies in. */
function withAdvice(error: unknown, { op, inputs, output, saved }: Node): unknown {
  const wanted = [...inputs, output, ...saved].filter((t) => !t.buffer.alive);
  const misses =
    error instanceof RecycledError &&
    wanted.length > 0 &&
    wanted.every(({ buffer }) => !buffer.donatedTo && !buffer.isDisposed);
  if (!misses) return error;
  return new RecycledError(
    op.name,
    'the backward pass wants a value that was recycled when the inner transform or scope that computed it returned. What begins after an ' +
      '`await` has memory of its own: begin it before the `await`, or differentiate by the outer tensors that it uses as well (argnums)',
  );
}

/** Places that have been taken on any tape. */
let added = 0;

const NONE: readonly Tape[] = [];

/** The tapes that record an op on these inputs. */
export function recordingTapes(inputs: readonly Tensor[]): readonly Tape[] {
  let tapes: Tape[] | null = null;
  for (const input of inputs) {
    for (let trace = input.trace; trace; trace = trace.next) {
      const tape = trace.tape as Tape;
      if (!tape.recording) continue;
      if (!tapes) tapes = [tape];
      else if (!tapes.includes(tape)) tapes.push(tape);
    }
  }
  return tapes ?? NONE;
}
