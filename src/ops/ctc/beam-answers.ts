import type { Arena, Buffer } from '../../backends/backend.js';
import { ValueError } from '../../errors.js';
import { hostBackend } from '../../tensor/device.js';
import { array, declareIn, launch, view } from './beam-launch.js';
import { boundOf, isAbove, MOST_GAIN, type Steering, stepOf } from './steering/steering.js';

const declare = declareIn('ctc/steered-table');

const SIZES = ['slots', 'states', 'classes'];
const KERNELS = {
  bytes: declare('ctcBeamTableBytes', [], ['bytes'], SIZES),
  open: declare('ctcBeamTableOpen', [], ['table'], SIZES),
  move: declare('ctcBeamTableMove', ['table'], ['larger'], []),
  learn: declare('ctcBeamLearn', ['answers'], ['table'], []),
};

/** Slots of a table at first; and above which one is emptied instead of made larger, unless a frame alone needs more. */
const SLOTS = { first: 1 << 12, usual: 1 << 18 } as const;
/** The share of slots that may be filled. */
const LOAD = 0.7;
/**
 * Of a steering with few states everything is asked at once, up to so many answers: what the prefixes of a beam may gain is known then, which is far
 * less than what any could, and a row of factors for each state pays only for so many classes.
 */
const WHOLE = { answers: 1 << 16, classes: 128 } as const;
/** Numbers in a question (state, label) and in an answer (those, log weight, next state). */
const QUESTION = 2;
const ANSWER = 4;

interface Table {
  readonly slots: number;
  /** How many states there are where everything is known, with so many classes and such a blank; else 0. */
  readonly states: number;
  readonly classes: number;
  readonly blank: number;
  readonly filled: number;
  /** float32, whatever is in it: the type of which the host keeps copies that are wanted again and again where kernels work. */
  readonly buffer: Buffer;
  /** Where a table lies that is added to; null for one in an ordinary array, which stays as it is. */
  readonly arena: Arena | null;
}

const isStateOf = (states: number, state: number): boolean => Number.isInteger(state) && state >= 0 && state < states;

/** What steerings have answered in earlier calls, so that the next one begins with it. */
const kept = new WeakMap<Steering, Table>();

/** The most that each class may gain; Infinity where nothing is known. */
interface Bounds {
  readonly values: Float64Array;
  readonly blank: number;
}

/** The same of what they have said of their bounds. */
const bounds = new WeakMap<Steering, Bounds>();

function boundsOf(op: string, steering: Steering, classes: number, blank: number): Float64Array {
  const before = bounds.get(steering);
  if (before?.values.length === classes && before.blank === blank) return before.values;
  const values = new Float64Array(classes);
  for (let c = 0; c < classes; c++) {
    const bound = c === blank ? 0 : boundOf(op, steering, c);
    values[c] = bound > MOST_GAIN ? Infinity : bound; // as factors, they are multiplied and added up
  }
  bounds.set(steering, { values, blank });
  return values;
}

/** What a steering has answered, in a table that the kernels read; it grows with what they ask. */
export class Answers {
  readonly bounds: Float64Array;
  private held: Table;
  private movedSinceEmpty = false;
  private readonly asking: Arena;
  /** Room for `most` questions of each sequence; for none where all is known. */
  readonly questions: Buffer;
  readonly most: number;

  constructor(
    private readonly op: string,
    readonly steering: Steering,
    classes: number,
    blank: number,
    batch: number,
  ) {
    // First of all, as a steering may refuse: no memory is taken yet.
    this.bounds = boundsOf(op, steering, classes, blank);
    const before = kept.get(steering);
    this.held = before && this.isUsable(before, classes, blank) ? before : this.first(classes, blank);
    this.asking = hostBackend().openArena();
    this.most = this.held.states > 0 ? 0 : Math.max(64, Math.min(1024, Math.floor(2 ** 16 / Math.max(1, batch))));
    this.questions = hostBackend().allocate('float64', batch * this.most * QUESTION, this.asking);
  }

  /** Whether a table of an earlier call will do: one of all answers only for the same classes, and a start that is among its states. */
  private isUsable({ states, ...of }: Table, classes: number, blank: number): boolean {
    return states === 0 || (of.classes === classes && of.blank === blank && isStateOf(states, this.steering.start));
  }

  get table(): Buffer {
    return this.held.buffer;
  }

  /** Whether a decoder may go on from a state: where all is known, only from one of those. */
  has(state: number): boolean {
    const { states } = this.held;
    return states === 0 || isStateOf(states, state);
  }

  /** A table with all answers of a steering with few states, or an empty one. */
  private first(classes: number, blank: number): Table {
    const { states = Infinity } = this.steering;
    const isSmall =
      states * classes <= WHOLE.answers && classes <= WHOLE.classes && this.bounds.every((bound) => bound < Infinity);
    const answers = isSmall ? this.allOf(states, classes, blank) : null;
    if (!answers) return this.empty({ slots: SLOTS.first, states: 0, classes, blank });
    const table = this.empty({ slots: 0, states, classes, blank });
    launch(this.op, KERNELS.learn, [hostBackend().upload('float64', answers)], [table.buffer], {});
    return { ...table, filled: answers.length / ANSWER };
  }

  /** Everything that a steering answers; null if that is not sound, as what is never asked for need not be, or leads out of its states. */
  private allOf(states: number, classes: number, blank: number): Float64Array | null {
    if (!isStateOf(states, this.steering.start)) return null;
    const answers = new Float64Array(states * (classes - 1) * ANSWER);
    let at = 0;
    try {
      for (let state = 0; state < states; state++)
        for (let label = 0; label < classes; label++) {
          if (label === blank) continue;
          const [weight, next] = stepOf(this.op, this.steering, state, label);
          if (isAbove(weight, this.bounds[label]!) || !isStateOf(states, next)) return null;
          answers.set([state, label, weight, next], at);
          at += ANSWER;
        }
    } catch {
      return null;
    }
    return answers;
  }

  private empty(sizes: Pick<Table, 'slots' | 'states' | 'classes' | 'blank'>): Table {
    const { slots, states, classes } = sizes;
    const bytes = array('float64', 1);
    launch(this.op, KERNELS.bytes, [], [bytes], { slots, states, classes });
    const arena = hostBackend().openArena();
    try {
      const buffer = hostBackend().allocate('float32', Math.ceil(view(bytes)[0]! / 4), arena);
      launch(this.op, KERNELS.open, [], [buffer], { slots, states, classes });
      return { ...sizes, filled: 0, buffer, arena };
    } catch (error) {
      arena.close();
      throw error;
    }
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
    // Questions may come more than once.
    const { buffer, byteOffset } = view(this.table);
    this.held = { ...this.held, filled: new Int32Array(buffer, byteOffset, 2)[1]! };
  }

  private makeRoom(count: number): void {
    const before = this.held;
    const isFull = before.filled + count > LOAD * before.slots;
    if (before.arena && !isFull) return;
    const isEmptied = isFull && before.slots >= SLOTS.usual && this.movedSinceEmpty && count <= LOAD * before.slots;
    const filled = isEmptied ? 0 : before.filled;
    let { slots } = before;
    while (filled + count > LOAD * slots) slots *= 4;
    this.held = { ...this.empty({ ...before, slots }), filled };
    if (slots === before.slots && !isEmptied) view(this.table).set(view(before.buffer));
    else if (!isEmptied) launch(this.op, KERNELS.move, [before.buffer], [this.table], {});
    before.arena?.close();
    if (isFull) this.movedSinceEmpty = false;
  }

  close(): void {
    const { arena, buffer } = this.held;
    if (arena) {
      const known = hostBackend().upload('float32', view(buffer).slice());
      kept.set(this.steering, { ...this.held, buffer: known, arena: null });
    }
    arena?.close();
    this.asking.close();
  }
}
