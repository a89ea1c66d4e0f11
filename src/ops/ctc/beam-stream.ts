import type { Buffer } from '../../backends/backend.js';
import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { checkOptions, checkTensor, checkWhole, describe } from '../../tensor/arguments.js';
import { hostBackend } from '../../tensor/device.js';
import { isFloat, isStorage } from '../../tensor/dtype.js';
import { formatShape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { cast } from '../cast.js';
import { sub } from '../elementwise.js';
import { badScore } from './beam.js';
import { checkSearch, SEARCH_OPTIONS, type Search, type SearchOptions } from './beam-options.js';
import { rank } from './beam-result.js';
import { readStream, type SavedStream, writeStream } from './beam-saved.js';
import { BeamStates } from './beam-state.js';
import { type Steering, stepOf } from './steering/steering.js';

export interface BeamStreamOptions extends SearchOptions {
  /** The class that stands for no label; 0 by default. */
  readonly blank?: number;
  /**
   * Labels that may stay open, 256 by default; 0 for any number. What lies further back is settled as the likeliest prefix has it, and prefixes that
   * read it otherwise are dropped. Without it, readings that differ in a nearly even choice long ago fill the beam and memory grows.
   */
  readonly horizon?: number;
}

/** What a stream has read. */
export interface StreamReading {
  /** Its labels, but for those that have been taken. */
  readonly labels: number[];
  /** The logarithm of the reading's probability as far as the beam has followed it, from the stream's first frame on, and the steering's weight. */
  readonly score: number;
  /** Its share of what the beam holds, from 0 to 1. */
  readonly share: number;
}

const OPTIONS = [...SEARCH_OPTIONS, 'blank', 'horizon'] as const;
/** Those that a saved stream has. */
const SAVED = ['width', 'blank', 'horizon', 'topClasses', 'drop', 'blankPenalty'] as const;

/** Classes at most: what 32-bit positions in a frame allow, and far more than any alphabet has. */
const MOST_CLASSES = 2 ** 24;

/** Frames after which labels that all prefixes share are taken out of the beam's memory, which has room for as many from the beginning. */
const CUT_EVERY = 1024;

const memory = new FinalizationRegistry<BeamStates>((states) => {
  states.close();
});

/**
 * Beam search over a stream of unknown length: frames come in pieces of any size, with the same result, to the bit, as all at once. What all prefixes
 * of the beam share will not change any more and leaves the beam: `stable`. A stream whose text is taken out (`take`) stays in the same memory for ever.
 *
 * ```ts
 * const stream = new BeamStream(32, { width: 16 });
 * stream.push(logProbs); // [frames, 32], again and again
 * const soFar = stream.partial().labels; // the first stream.stable.length of them will stay
 * const { labels } = stream.finish();
 * ```
 */
export class BeamStream {
  private readonly states: BeamStates;
  private settled: number[] = [];
  private frames = 0;
  private sinceCut = 0;
  private last: StreamReading | null = null;
  private handedOn = 0;
  /** Whether a call is under way that asks the steering. */
  private isAsking = false;
  private readonly search: Search;
  private readonly blankPenalty: number;
  /** The steering's state after the labels that have been taken. */
  private start: number;

  /** @throws {ValueError} for sizes and options out of range. */
  constructor(
    readonly classes: number,
    options: BeamStreamOptions = {},
  ) {
    const op = 'BeamStream';
    checkOptions(op, options, OPTIONS);
    const { blank = 0, horizon = 256, blankPenalty = 0 } = options;
    if (!Number.isInteger(classes) || classes < 1 || classes > MOST_CLASSES)
      throw new ValueError(op, `classes is ${describe(classes)}; it must be a whole number from 1 to ${MOST_CLASSES}`);
    if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
      throw new ValueError(op, `blank is ${describe(blank)}; it must be a class in [0, ${classes})`);
    checkWhole(op, 'horizon', horizon, 0, 2 ** 31 - 1);
    this.search = checkSearch(op, options, classes, blank, horizon);
    this.blankPenalty = blankPenalty;
    this.start = this.search.steering?.start ?? 0;
    this.states = new BeamStates(op, this.search.sizes, 1, this.search.steering, Int32Array.of(CUT_EVERY));
    memory.register(this, this.states, this);
  }

  /**
   * Reads on. The frames' scores must be on the host. A piece that is refused leaves the stream as it was before. A frame in which every class is
   * -Infinity is not refused: nothing can be read from there on.
   * @param logProbs [frames, classes]
   * @throws {ShapeError | DTypeError | ValueError} for a wrong shape, NaN or Infinity, on a stream that is finished, and from within its own steering.
   */
  push(logProbs: Tensor): this {
    const op = 'BeamStream.push';
    this.checkOpen(op);
    checkTensor(op, 'logProbs', logProbs);
    if (!isFloat(logProbs.dtype)) throw new DTypeError(op, `logProbs is ${logProbs.dtype}; it must be a float dtype`);
    if (logProbs.rank !== 2 || logProbs.shape[1] !== this.classes)
      throw new ShapeError(op, `logProbs is ${formatShape(logProbs.shape)}; it must be [frames, ${this.classes}]`);
    // In the order of `beamDecode`, for the same bits: float64 is rounded after the penalty.
    const wide = isStorage(logProbs.dtype) ? cast(logProbs, 'float32') : logProbs;
    const own = this.search.penalty ? sub(wide, this.search.penalty) : wide;
    const scores = own.dtype === 'float32' ? own : cast(own, 'float32');
    const [frames] = scores.shape as [number, number];
    const buffer: Buffer =
      scores.device === hostBackend() ? scores.buffer : hostBackend().upload('float32', scores.dataSync());
    const bad = this.asking(() => this.states.advance(buffer, [frames], this.classes, 0));
    if (bad) throw badScore(op, 0, this.frames + bad.frame);
    this.frames += frames;
    this.sinceCut += frames;
    if (this.sinceCut >= CUT_EVERY) this.settle();
    return this;
  }

  private checkOpen(op: string): void {
    if (this.last) throw new ValueError(op, 'the stream is finished');
    if (this.isAsking)
      throw new ValueError(op, "the stream is at work and asks its steering, which can't use it meanwhile");
  }

  /** What asks the steering: until it has answered, the stream is closed to it. */
  private asking<T>(work: () => T): T {
    this.isAsking = true;
    try {
      return work();
    } finally {
      this.isAsking = false;
    }
  }

  private settle(): void {
    this.sinceCut = 0;
    for (const label of this.states.cut(0)) this.settled.push(label);
  }

  /** The labels that all prefixes of the beam begin with, but for those that have been taken: nothing that comes can change them. */
  get stable(): readonly number[] {
    this.checkOpen('BeamStream.stable');
    this.settle();
    return [...this.settled];
  }

  /** Labels that have been taken so far. */
  get taken(): number {
    return this.handedOn;
  }

  /** Takes the stable labels out of the stream, whose readings begin after them from now on: so an endless one does not grow with its text. */
  take(): number[] {
    this.checkOpen('BeamStream.take');
    this.settle();
    const { settled } = this;
    this.start = this.asking(() => stateAfter('BeamStream.take', this.search.steering, this.start, settled));
    this.settled = [];
    this.handedOn += settled.length;
    return settled;
  }

  /** The best reading of what has come so far. What a steering says of a text's end does not count yet. */
  partial(): StreamReading {
    this.checkOpen('BeamStream.partial');
    return this.best(1, null)[0] ?? nothingAfter(this.settled);
  }

  /** The best readings of what has come so far, best first. */
  readings(nBest = this.states.sizes.width): StreamReading[] {
    const op = 'BeamStream.readings';
    this.checkOpen(op);
    const { width } = this.states.sizes;
    if (!Number.isInteger(nBest) || nBest < 1 || nBest > width)
      throw new ValueError(op, `nBest is ${describe(nBest)}; it must be a whole number from 1 to ${width}`);
    return this.best(nBest, null);
  }

  /** Readings, ended by a steering. */
  private best(nBest: number, end: Steering | null): StreamReading[] {
    const { labels, scores, shares } = rank('BeamStream', this.states.read(0, this.states.sizes.width), end, nBest);
    return labels.map((open, k) => ({
      labels: [...this.settled, ...open],
      score: scores[k]!,
      share: shares[k]!,
    }));
  }

  /**
   * The reading of the whole, its end included; gives the memory back. The stream answers nothing else any more. Where a steering lets no reading in the
   * beam end here, the score is -Infinity.
   */
  finish(): StreamReading {
    if (this.last) return this.last;
    this.checkOpen('BeamStream.finish');
    const reading = this.asking(() => this.best(1, this.search.steering))[0] ?? nothingAfter(this.settled);
    this.close();
    return (this.last = reading);
  }

  /** Gives the memory back. */
  private close(): void {
    this.states.close();
    memory.unregister(this);
  }

  /** The state as tensors, for `saveSafetensors`; `BeamStream.restore` goes on from there, also in another process. */
  save(): SavedStream {
    this.checkOpen('BeamStream.save');
    this.settle();
    const { classes, frames, handedOn: taken, settled } = this;
    const start = this.search.steering ? this.start : null;
    const sizes = { ...this.states.sizes, classes, frames, taken, start, blankPenalty: this.blankPenalty };
    return writeStream('BeamStream.save', sizes, settled, this.states.save(0));
  }

  /**
   * A stream that goes on where another one was saved.
   * @param options the steering that the saved stream had. Its other options, where they are known: they are compared. Once labels have been taken, a
   *   steering's states must be the same numbers as they were.
   * @throws {FormatError} for anything that `save` has not made: parts of different streams, cut or changed ones.
   * @throws {ValueError} for options that are not those of the saved stream.
   */
  static restore(saved: Readonly<Record<string, Tensor>>, options: BeamStreamOptions = {}): BeamStream {
    const op = 'BeamStream.restore';
    checkOptions(op, options, OPTIONS);
    const { sizes, settled, state, refuse } = readStream(op, saved);
    for (const name of SAVED) {
      const wanted = options[name] ?? sizes[name];
      if (wanted !== sizes[name])
        throw new ValueError(op, `${name} is ${describe(wanted)}; the saved stream's is ${sizes[name]}`);
    }
    const { steering } = options;
    if ((steering === undefined) !== (sizes.start === null))
      throw new ValueError(op, `the saved stream has ${steering ? 'no' : 'a'} steering; give the same one again`);
    const { classes, width, blank, horizon, topClasses, drop, blankPenalty } = sizes;
    const stream = new BeamStream(classes, {
      width,
      blank,
      horizon,
      topClasses,
      drop,
      blankPenalty,
      ...(steering ? { steering } : {}),
    });
    if (steering && sizes.taken > 0) stream.start = sizes.start!;
    try {
      const start = stateAfter(op, stream.search.steering, stream.start, settled);
      if (!stream.states.restore(0, state, start)) throw refuse();
    } catch (error) {
      stream.close();
      throw error;
    }
    stream.frames = sizes.frames;
    stream.handedOn = sizes.taken;
    stream.settled = settled;
    return stream;
  }
}

const nothingAfter = (settled: readonly number[]): StreamReading => ({
  labels: [...settled],
  score: -Infinity,
  share: 0,
});

const stateAfter = (op: string, steering: Steering | null, state: number, labels: readonly number[]): number =>
  steering ? labels.reduce((at, label) => stepOf(op, steering, at, label)[1], state) : state;
