import type { Arena, Buffer } from '../../backends/backend.js';
import { OutOfMemoryError } from '../../errors.js';
import { hostBackend } from '../../tensor/device.js';
import { Answers } from './beam-answers.js';
import { array, declareIn, launch, listOf, view } from './beam-launch.js';
import type { Steering } from './steering/steering.js';

/** Beam decoders in the host's memory: what wasm/ctc/beam-state.ts calls a state, and the launches that work on it. */

export interface BeamSizes {
  readonly width: number;
  readonly classes: number;
  readonly blank: number;
  /** Labels that may stay open, 0 for any number. */
  readonly horizon: number;
  /** Classes a frame that may lengthen a prefix. */
  readonly topClasses: number;
  /** How far below the best one a prefix may lie, as a logarithm. */
  readonly drop: number;
}

/** What a beam holds, the likeliest prefix first. */
export interface BeamContents {
  /** The labels of the prefixes at some places: until the beam goes on. */
  readonly labelsAt: (places: readonly number[]) => Int32Array[];
  /** Natural logarithms of their probabilities, as far as the beam has followed them. */
  readonly scores: readonly number[];
  /** The same of everything that fell out of the beam. */
  readonly lost: number;
  /** The steering's states, where there is one. */
  readonly states: readonly number[] | null;
}

const [beam, saved, steered] = [declareIn('ctc/beam'), declareIn('ctc/beam-save'), declareIn('ctc/steered')];

const KERNELS = {
  bytes: beam('ctcBeamBytes', [], ['bytes'], ['width', 'classes', 'room', 'steered']),
  open: beam('ctcBeamOpen', [], ['states'], ['width', 'classes', 'blank', 'horizon', 'top', 'drop', 'steered', 'room']),
  move: beam('ctcBeamMove', ['rooms', 'states'], ['larger'], []),
  advance: beam(
    'ctcBeam',
    ['scores', 'lengths'],
    ['status', 'states'],
    ['width', 'frameStride', 'sequenceStride', 'fresh'],
  ),
  read: beam('ctcBeamRead', ['state'], ['logProbs', 'found'], ['count']),
  labels: beam('ctcBeamLabels', ['state', 'places'], ['lengths', 'labels'], []),
  shared: beam('ctcBeamShared', ['state'], ['count'], []),
  cut: beam('ctcBeamCut', ['state'], ['labels'], []),
  undo: beam('ctcBeamUndo', [], ['states'], []),
  savedBytes: saved('ctcBeamSavedBytes', ['state'], ['bytes'], []),
  save: saved('ctcBeamSave', ['state'], ['saved'], []),
  savedNodes: saved('ctcBeamSavedNodes', ['saved'], ['nodes'], []),
  restore: saved('ctcBeamRestore', ['saved'], ['sound', 'state'], []),
  advanceSteered: steered(
    'ctcBeamSteered',
    ['scores', 'lengths', 'table'],
    ['status', 'questions', 'states'],
    ['width', 'frameStride', 'sequenceStride', 'fresh', 'most'],
  ),
  steer: steered('ctcBeamSteer', ['start', 'bounds'], ['states'], []),
  rename: steered('ctcBeamRename', ['start', 'table'], ['asked', 'questions', 'state'], ['most']),
  states: steered('ctcBeamStates', ['state'], ['states'], ['count']),
};

const STATUS = { done: 0, full: 1, bad: 2, asks: 3 } as const;

/** The place of a score that is NaN or Infinity. */
export interface BadFrame {
  readonly sequence: number;
  readonly frame: number;
}

const numbers = (values: readonly number[]): Buffer => hostBackend().upload('float64', Float64Array.from(values));

/**
 * Nodes that a state has room for at first: it grows with what is read. Readings that differ in an early place go on beside each other, so that what stays of a
 * long text is a share of its frames times the width; to make room in time spares a batch from waiting for one another's.
 * @param frames that are going to be read, where that is known.
 */
const firstRoom = (width: number, frames = 0): number =>
  16 * width + 1024 + Math.min(Math.ceil((frames * width) / 12), MOST_FORESEEN);
/** Beyond, memory that no cache holds would be used before it has to be. */
const MOST_FORESEEN = 1 << 13;

/**
 * Scores up to so many are copied to where the next ones go as well: a stream's pieces are short, and to make room for one would take as long as to read it.
 */
const SHORT = 1 << 14;
/** And so few are copied by each launch, which takes less time than to look where they go. */
const TINY = 1 << 10;

/** Labels that there is room for at first, of all prefixes that are read at a time. */
const LABELS = 256;

interface HeldState {
  readonly arena: Arena;
  readonly buffer: Buffer;
  readonly room: number;
}

/** Decoders of a batch, one state a sequence. */
export class BeamStates {
  private readonly held: HeldState[] = [];
  /** What a steering has answered. */
  private readonly answers: Answers | null;
  /** What every launch is given: how far the sequences came, and how many frames each has. */
  private readonly status: Buffer;
  private readonly frameCounts: Buffer;
  /** What these hold. */
  private readonly statusWords: Int32Array;
  private readonly counts: Int32Array;
  /** What a launch that reads on writes to, the states last. */
  private readonly outputs: Buffer[];
  /** Room for the labels of some prefixes. */
  private labels = array('int32', LABELS);
  private size: { readonly room: number; readonly words: number } | null = null;
  private readonly answerArrays: { float64?: Buffer; int32?: Buffer } = {};
  /** Short pieces of scores. */
  private desk: Arena | null = null;
  private piece: Buffer | null = null;

  constructor(
    private readonly op: string,
    readonly sizes: BeamSizes,
    count: number,
    steering: Steering | null = null,
    frames: Int32Array = new Int32Array(0),
  ) {
    this.answers = steering && new Answers(op, steering, sizes.classes, sizes.blank, count);
    this.status = array('int32', (steering ? 3 : 2) * count);
    this.frameCounts = array('int32', count);
    this.statusWords = view(this.status) as Int32Array;
    this.counts = view(this.frameCounts) as Int32Array;
    this.outputs = this.answers ? [this.status, this.answers.questions] : [this.status];
    try {
      const longest = frames.reduce((most, length) => Math.max(most, length), 0);
      this.open(firstRoom(sizes.width, longest), count).forEach((made, n) => {
        this.hold(n, made);
      });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  private hold(n: number, state: HeldState): void {
    this.held[n] = state;
    this.outputs[(this.answers ? 2 : 1) + n] = state.buffer;
  }

  private open(room: number, count: number): HeldState[] {
    const { answers } = this;
    const { width, classes, blank, horizon, topClasses: top } = this.sizes;
    const drop = Math.exp(-this.sizes.drop) * (1 - 1e-15); // the best one itself stays
    const options = { width, classes, blank, horizon, top, drop, steered: answers ? 1 : 0, room };
    return this.make(new Array<number>(count).fill(room), (buffers) => {
      launch(this.op, KERNELS.open, [], buffers, options);
      if (!answers) return;
      const given = [numbers([answers.steering.start]), hostBackend().upload('float64', answers.bounds)];
      launch(this.op, KERNELS.steer, given, buffers, {});
    });
  }

  /** States with room for so many nodes each, prepared; none is left behind where there is no memory for all. */
  private make(rooms: readonly number[], prepare: (buffers: readonly Buffer[]) => void): HeldState[] {
    const arenas: Arena[] = [];
    const made: HeldState[] = [];
    try {
      for (const room of rooms) {
        const words = this.wordsFor(room);
        const arena = hostBackend().openArena();
        arenas.push(arena);
        made.push({ arena, buffer: hostBackend().allocate('int32', words, arena), room });
      }
      prepare(made.map(({ buffer }) => buffer));
      return made;
    } catch (error) {
      for (const arena of arenas) arena.close();
      throw error;
    }
  }

  /** Words that a state takes: asked for again only where the room is another. */
  private wordsFor(room: number): number {
    if (this.size?.room === room) return this.size.words;
    const bytes = array('float64', 1);
    const { width, classes } = this.sizes;
    launch(this.op, KERNELS.bytes, [], [bytes], { width, classes, room, steered: this.answers ? 1 : 0 });
    const words = Math.ceil(view(bytes)[0]! / 4);
    if (words > 2 ** 29) throw new OutOfMemoryError(this.op, `a beam of width ${width} needs ${words * 4} bytes`);
    this.size = { room, words };
    return words;
  }

  /**
   * Reads a piece of each sequence, float32. Returns the first bad frame, if there is one. A state that meets one, or for which there is no memory, is
   * left as it was before the piece.
   */
  advance(scores: Buffer, lengths: ArrayLike<number>, frameStride: number, sequenceStride: number): BadFrame | null {
    let isDone = false;
    const short = scores.length <= SHORT ? this.copyOf(scores) : null;
    // A state that is full, or a steering that is asked, takes another launch, which reads the same scores.
    const held = short ? null : hostBackend().openArena();
    try {
      const bad = this.advanceAll(short ?? scores, lengths, frameStride, sequenceStride, short ? this.desk : held);
      isDone = bad === null;
      return bad;
    } finally {
      held?.close();
      if (!isDone) this.undo();
    }
  }

  private copyOf(scores: Buffer): Buffer {
    this.desk ??= hostBackend().openArena();
    if (scores.length <= TINY) return scores;
    if (this.piece && this.piece.length < scores.length) {
      hostBackend().discard(this.piece);
      this.piece = null;
    }
    this.piece ??= hostBackend().allocate('float32', scores.length, this.desk);
    view(this.piece).set(view(scores));
    return this.piece;
  }

  private advanceAll(
    scores: Buffer,
    lengths: ArrayLike<number>,
    frameStride: number,
    sequenceStride: number,
    arena: Arena | null,
  ): BadFrame | null {
    const { answers, frameCounts, statusWords } = this;
    const { width } = this.sizes;
    const { length: count } = this.held;
    for (let n = 0; n < count; n++) this.counts[n] = lengths[n]!;
    let before = -1;
    for (let fresh = 1; ; fresh = 0) {
      if (answers) {
        const params = { width, frameStride, sequenceStride, fresh, most: answers.most };
        launch(this.op, KERNELS.advanceSteered, [scores, frameCounts, answers.table], this.outputs, params, arena);
      } else {
        const params = { width, frameStride, sequenceStride, fresh };
        launch(this.op, KERNELS.advance, [scores, frameCounts], this.outputs, params, arena);
      }
      const words = answers ? 3 : 2;
      let isDone = true;
      for (let n = 0; n < count; n++) isDone &&= statusWords[words * n] === STATUS.done;
      if (isDone) return null;
      const asked: number[] = [];
      const full: number[] = [];
      let frames = 0;
      for (let n = 0; n < count; n++) {
        const how = statusWords[words * n];
        const frame = statusWords[words * n + 1]!;
        if (how === STATUS.bad) return { sequence: n, frame };
        if (how === STATUS.full) full.push(n);
        asked.push(how === STATUS.asks ? statusWords[words * n + 2]! : 0);
        frames += frame;
      }
      if (full.length > 0) this.grow(full);
      answers?.learn(asked, frames > before);
      before = frames;
    }
  }

  private undo(): void {
    const buffers = this.held.map(({ buffer }) => buffer);
    launch(this.op, KERNELS.undo, [], buffers, {});
  }

  /** Four times as much room for the nodes of some sequences. */
  private grow(full: readonly number[]): void {
    const rooms = full.map((n) => this.held[n]!.room * 4);
    const old = full.map((n) => this.held[n]!.buffer);
    const made = this.make(rooms, (buffers) => {
      launch(this.op, KERNELS.move, [hostBackend().upload('int32', Int32Array.from(rooms)), ...old], buffers, {});
    });
    full.forEach((n, i) => {
      this.held[n]!.arena.close();
      this.hold(n, made[i]!);
    });
  }

  /** The `count` likeliest prefixes of a sequence; fewer if the beam holds fewer. */
  read(n: number, count: number): BeamContents {
    const { buffer } = this.held[n]!;
    const scores = this.answer('float64', count + 1);
    launch(this.op, KERNELS.read, [buffer], [scores, this.status], { count });
    const size = view(this.status)[0]!;
    return {
      labelsAt: (places) => this.labelsOf(buffer, places),
      scores: listOf(view(scores), size),
      lost: view(scores)[count]!,
      states: this.answers && this.statesOf(buffer, size),
    };
  }

  private labelsOf(buffer: Buffer, places: readonly number[]): Int32Array[] {
    if (places.length === 0) return [];
    const given = hostBackend().upload('int32', Int32Array.from(places));
    const lengths = this.answer('int32', places.length);
    const sizes = view(lengths) as Int32Array;
    for (;;) {
      launch(this.op, KERNELS.labels, [buffer, given], [lengths, this.labels], {});
      const total = sizes.reduce((sum, size) => sum + size, 0);
      if (total <= this.labels.length) break;
      this.labels = array('int32', total);
    }
    const labels = view(this.labels) as Int32Array;
    let at = 0;
    return Array.from(sizes, (size) => labels.slice(at, (at += size)));
  }

  /** An array for what one launch answers, which the next one may overwrite. */
  private answer(dtype: 'float64' | 'int32', length: number): Buffer {
    const before = this.answerArrays[dtype];
    return before?.length === length ? before : (this.answerArrays[dtype] = array(dtype, length));
  }

  private statesOf(buffer: Buffer, count: number): number[] {
    const states = array('float64', count);
    if (count > 0) launch(this.op, KERNELS.states, [buffer], [states], { count });
    return listOf(view(states));
  }

  /** Takes the labels that all prefixes begin with out of the state. */
  cut(n: number): Int32Array {
    const { buffer } = this.held[n]!;
    launch(this.op, KERNELS.shared, [buffer], [this.status], {});
    const count = view(this.status)[0]!;
    if (count === 0) return new Int32Array(0);
    const labels = array('int32', count);
    launch(this.op, KERNELS.cut, [buffer], [labels], {});
    return view(labels) as Int32Array;
  }

  /** A state in words, for `restore`. */
  save(n: number): Int32Array {
    const { buffer } = this.held[n]!;
    const bytes = array('float64', 1);
    launch(this.op, KERNELS.savedBytes, [buffer], [bytes], {});
    const saved = array('int32', view(bytes)[0]! / 4);
    launch(this.op, KERNELS.save, [buffer], [saved], {});
    return view(saved) as Int32Array;
  }

  /**
   * Goes on from a saved state. Returns false, with nothing changed, if it is none of this size.
   * @param start the steering's state before the labels that the saved state holds.
   */
  restore(n: number, words: Int32Array, start = 0): boolean {
    const saved = hostBackend().upload('int32', words);
    const answer = array('int32', 1);
    launch(this.op, KERNELS.savedNodes, [saved], [answer], {});
    const nodes = view(answer)[0]!;
    if (nodes < 0 || this.answers?.has(start) === false) return false;
    const { width } = this.sizes;
    let room = firstRoom(width);
    while (4 * (nodes + width) > room) room *= 4;
    const [made] = this.open(room, 1) as [HeldState];
    launch(this.op, KERNELS.restore, [saved], [answer, made.buffer], {});
    const isSound = view(answer)[0] === 1;
    const unused = isSound ? this.held[n]! : made;
    if (isSound) this.hold(n, made);
    unused.arena.close();
    if (isSound) this.rename(made.buffer, start);
    return isSound;
  }

  /** A steering's states anew: what they are called may differ from process to process. */
  private rename(buffer: Buffer, start: number): void {
    const { answers } = this;
    if (!answers) return;
    for (const asked = array('int32', 1); ; answers.learn([view(asked)[0]!], false)) {
      const given = [numbers([start]), answers.table];
      launch(this.op, KERNELS.rename, given, [asked, answers.questions, buffer], { most: answers.most });
      if (view(asked)[0] === 0) return;
    }
  }

  close(): void {
    for (const { arena } of this.held) arena.close();
    this.desk?.close();
    this.answers?.close();
  }
}
