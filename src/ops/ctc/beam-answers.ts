import type { Arena, Buffer } from '../../backends/backend.js';
import { ValueError } from '../../errors.js';
import { hostBackend } from '../../tensor/device.js';
import { array, declareIn, launch, view } from './beam-launch.js';
import { boundOf, isAbove, type Steering, stepOf } from './steering/steering.js';

const declare = declareIn('ctc/steered');

const KERNELS = {
  bytes: declare('ctcBeamTableBytes', [], ['bytes'], ['slots']),
  open: declare('ctcBeamTableOpen', [], ['table'], ['slots']),
  learn: declare('ctcBeamLearn', ['answers'], ['table'], []),
};

/** Slots of a table at first; and above which one is emptied instead of made larger, unless a frame alone needs more. */
const SLOTS = { first: 1 << 12, usual: 1 << 18 } as const;
/** The share of slots that may be filled. */
const LOAD = 0.7;
/** Numbers in a question (state, label) and in an answer (those, log weight, next state). */
const QUESTION = 2;
const ANSWER = 4;

/** What a steering has answered, in a table that the kernels read; it grows with what they ask. */
export class Answers {
  /** The most that each class may gain; Infinity where nothing is known. */
  readonly bounds: Float64Array;
  private arena: Arena = hostBackend().openArena();
  private slots: number = SLOTS.first;
  private filled = 0;
  private movedSinceEmpty = false;
  private readonly asking: Arena = hostBackend().openArena();
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
    this.most = Math.max(64, Math.min(1024, Math.floor(2 ** 16 / Math.max(1, batch))));
    this.questions = hostBackend().allocate('float64', batch * this.most * QUESTION, this.asking);
    this.table = this.make();
    this.bounds = Float64Array.from({ length: classes }, (_, c) => (c === blank ? 0 : boundOf(op, steering, c)));
  }

  private make(): Buffer {
    const bytes = array('float64', 1);
    launch(this.op, KERNELS.bytes, [], [bytes], { slots: this.slots });
    const table = hostBackend().allocate('float64', Math.ceil(view(bytes)[0]! / 8), this.arena);
    launch(this.op, KERNELS.open, [], [table], { slots: this.slots });
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
      const [state, label] = [asked[QUESTION * i]!, asked[QUESTION * i + 1]!];
      const [weight, next] = stepOf(this.op, this.steering, state, label);
      if (isAbove(weight, this.bounds[label]!))
        throw new ValueError(
          this.op,
          `the steering's step(${state}, ${label}) gains ${weight}, more than its bound(${label}), ${this.bounds[label]}`,
        );
      answers.set([state, label, weight, next], ANSWER * i);
    }
    this.makeRoom(total);
    launch(this.op, KERNELS.learn, [hostBackend().upload('float64', answers)], [this.table], {});
    this.filled += total;
  }

  private makeRoom(count: number): void {
    if (this.filled + count <= LOAD * this.slots) return;
    const isUsual = this.slots >= SLOTS.usual && this.movedSinceEmpty && count <= LOAD * this.slots;
    while (!isUsual && this.filled + count > LOAD * this.slots) this.slots *= 4;
    // What was known is asked again when it is wanted: that is cheaper than to keep it.
    const old = this.arena;
    this.arena = hostBackend().openArena();
    this.table = this.make();
    old.close();
    this.filled = 0;
    this.movedSinceEmpty = false;
  }

  close(): void {
    this.arena.close();
    this.asking.close();
  }
}
