import type { Arena, Buffer, TypedArray } from '../../backends/backend.js';
import { ValueError } from '../../errors.js';
import { hostBackend } from '../../tensor/device.js';
import { array, declareIn, launch, view } from './beam-launch.js';
import { boundOf, isAbove, type Steering, stepOf } from './steering/steering.js';

const declare = declareIn('ctc/steered');

const KERNELS = {
  bytes: declare('ctcBeamTableBytes', [], ['bytes'], ['slots']),
  open: declare('ctcBeamTableOpen', [], ['table'], ['slots']),
  move: declare('ctcBeamTableMove', ['table'], ['larger'], []),
  learn: declare('ctcBeamLearn', ['answers'], ['table'], []),
};

/** Slots of a table at first; and above which one is emptied instead of made larger, unless a frame alone needs more. */
const SLOTS = { first: 1 << 12, usual: 1 << 18 } as const;
/** The share of slots that may be filled. */
const LOAD = 0.7;
/** Numbers in a question (state, label) and in an answer (those, log weight, next state). */
const QUESTION = 2;
const ANSWER = 4;

/** Tables of steerings that are not in use, so that the next call begins with what the last one knew. */
const kept = new WeakMap<Steering, { readonly slots: number; readonly filled: number; readonly table: TypedArray }>();

/** What a steering has answered, in a table that the kernels read; it grows with what they ask. */
export class Answers {
  /** The most that each class may gain; Infinity where nothing is known. */
  readonly bounds: Float64Array;
  private arena: Arena;
  private slots: number;
  private filled = 0;
  private hasLearnt = false;
  private movedSinceEmpty = false;
  private readonly asking: Arena;
  /** Room for `most` questions of each sequence. */
  readonly questions: Buffer;
  readonly most: number;
  table: Buffer;

  constructor(
    private readonly op: string,
    readonly steering: Steering,
    classes: number,
    blank: number,
    batch: number,
  ) {
    // First of all, as a steering may refuse: no memory is taken yet.
    this.bounds = Float64Array.from({ length: classes }, (_, c) => (c === blank ? 0 : boundOf(op, steering, c)));
    this.arena = hostBackend().openArena();
    this.asking = hostBackend().openArena();
    this.most = Math.max(64, Math.min(1024, Math.floor(2 ** 16 / Math.max(1, batch))));
    this.questions = hostBackend().allocate('float64', batch * this.most * QUESTION, this.asking);
    const before = kept.get(steering);
    this.slots = before?.slots ?? SLOTS.first;
    this.table = this.make(before?.table);
    this.filled = before?.filled ?? 0;
  }

  private make(known?: TypedArray): Buffer {
    const bytes = array('float64', 1);
    launch(this.op, KERNELS.bytes, [], [bytes], { slots: this.slots });
    const table = hostBackend().allocate('float64', Math.ceil(view(bytes)[0]! / 8), this.arena);
    if (known) view(table).set(known);
    else launch(this.op, KERNELS.open, [], [table], { slots: this.slots });
    return table;
  }

  /**
   * Answers the questions that the last launch has left, so many of each sequence.
   * @param hasMoved whether a frame has been read to its end since the ones before.
   */
  learn(counts: readonly number[], hasMoved: boolean): void {
    this.movedSinceEmpty ||= hasMoved;
    const { most } = this;
    const questions = view(this.questions) as Float64Array;
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (total === 0) return;
    const answers = new Float64Array(total * ANSWER);
    // Before anything is learnt: a step may use tapegrad itself, and the questions lie in its memory.
    const asked = new Float64Array(total * QUESTION);
    let at = 0;
    counts.forEach((count, n) => {
      asked.set(questions.subarray(n * most * QUESTION, (n * most + count) * QUESTION), at);
      at += count * QUESTION;
    });
    for (let i = 0; i < total; i++) {
      const state = asked[QUESTION * i]!;
      const label = asked[QUESTION * i + 1]!;
      const [weight, next] = stepOf(this.op, this.steering, state, label);
      if (isAbove(weight, this.bounds[label]!))
        throw new ValueError(
          this.op,
          `the steering's step(${state}, ${label}) gains ${weight}, more than its bound(${label}), ${this.bounds[label]}`,
        );
      answers[ANSWER * i] = state;
      answers[ANSWER * i + 1] = label;
      answers[ANSWER * i + 2] = weight;
      answers[ANSWER * i + 3] = next;
    }
    this.makeRoom(total);
    launch(this.op, KERNELS.learn, [hostBackend().upload('float64', answers)], [this.table], {});
    this.filled += total;
    this.hasLearnt = true;
  }

  private makeRoom(count: number): void {
    if (this.filled + count <= LOAD * this.slots) return;
    const isEmptied = this.slots >= SLOTS.usual && this.movedSinceEmpty && count <= LOAD * this.slots;
    if (isEmptied) this.filled = 0;
    while (this.filled + count > LOAD * this.slots) this.slots *= 4;
    const [old, before] = [this.arena, this.table];
    this.arena = hostBackend().openArena();
    this.table = this.make();
    if (!isEmptied) launch(this.op, KERNELS.move, [before], [this.table], {});
    old.close();
    this.movedSinceEmpty = false;
  }

  /** Copies scores to where the kernels work, as they are launched many times. */
  hold(scores: Buffer): { scores: Buffer; arena: Arena } {
    const arena = hostBackend().openArena();
    const copy = hostBackend().allocate(scores.dtype, scores.length, arena);
    view(copy).set(view(scores));
    return { scores: copy, arena };
  }

  close(): void {
    if (this.hasLearnt)
      kept.set(this.steering, { slots: this.slots, filled: this.filled, table: view(this.table).slice() });
    this.arena.close();
    this.asking.close();
  }
}
