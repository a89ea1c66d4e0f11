import type { Arena, Buffer } from '../../backends/backend.js';
import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { checkOptions, checkTensor, checkWhole, describe } from '../../tensor/arguments.js';
import { hostBackend } from '../../tensor/device.js';
import { isFloat } from '../../tensor/dtype.js';
import { formatShape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { cast } from '../cast.js';
import { badScore, checkWidth } from './beam.js';
import { BeamStates } from './beam-state.js';
import { readStream, type SavedStream, writeStream } from './beam-saved.js';

export interface BeamStreamOptions {
  /** Prefixes that are followed at a time; 32 by default. */
  readonly width?: number;
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
  /** The logarithm of the reading's probability as far as the beam has followed it, from the stream's first frame on. */
  readonly score: number;
  /** Its share of what the beam holds, from 0 to 1. */
  readonly share: number;
}

const OPTIONS = ['width', 'blank', 'horizon'] as const;

/** Frames after which labels that all prefixes share are taken out of the beam's memory. */
const CUT_EVERY = 256;

const arenas = new FinalizationRegistry<{ arena: Arena }[]>((held) => {
  for (const { arena } of held) if ((arena as { isOpen?: boolean }).isOpen !== false) arena.close();
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

  /** @throws {ValueError} for sizes and options out of range. */
  constructor(
    readonly classes: number,
    options: BeamStreamOptions = {},
  ) {
    const op = 'BeamStream';
    checkOptions(op, options, OPTIONS);
    const { width = 32, blank = 0, horizon = 256 } = options;
    if (!Number.isInteger(classes) || classes < 1)
      throw new ValueError(op, `classes is ${describe(classes)}; it must be a whole number from 1 on`);
    checkWidth(op, width);
    if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
      throw new ValueError(op, `blank is ${describe(blank)}; it must be a class in [0, ${classes})`);
    checkWhole(op, 'horizon', horizon, 0, 2 ** 31 - 1);
    this.states = new BeamStates(op, { width, classes, blank, horizon }, 1);
    arenas.register(this, this.states.arenas as { arena: Arena }[], this);
  }

  /**
   * Reads on. The frames' scores must be on the host. A piece that is refused leaves the stream as it was before.
   * @param logProbs [frames, classes]
   * @throws {ShapeError | DTypeError | ValueError} for a wrong shape, NaN or Infinity, and on a stream that is finished.
   */
  push(logProbs: Tensor): this {
    const op = 'BeamStream.push';
    this.checkOpen(op);
    checkTensor(op, 'logProbs', logProbs);
    if (!isFloat(logProbs.dtype)) throw new DTypeError(op, `logProbs is ${logProbs.dtype}; it must be a float dtype`);
    if (logProbs.rank !== 2 || logProbs.shape[1] !== this.classes)
      throw new ShapeError(op, `logProbs is ${formatShape(logProbs.shape)}; it must be [frames, ${this.classes}]`);
    const scores = logProbs.dtype === 'float32' ? logProbs : cast(logProbs, 'float32');
    const [frames] = scores.shape as [number, number];
    const buffer: Buffer =
      scores.device === hostBackend() ? scores.buffer : hostBackend().upload('float32', scores.dataSync());
    const bad = this.states.advance(buffer, Int32Array.of(frames), this.classes, 0);
    if (bad) throw badScore(op, 0, this.frames + bad.frame);
    this.frames += frames;
    this.sinceCut += frames;
    if (this.sinceCut >= CUT_EVERY) this.settle();
    return this;
  }

  private checkOpen(op: string): void {
    if (this.last) throw new ValueError(op, 'the stream is finished');
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
    this.settled = [];
    this.handedOn += settled.length;
    return settled;
  }

  /** The likeliest reading of what has come so far. */
  partial(): StreamReading {
    this.checkOpen('BeamStream.partial');
    return this.best(1)[0] ?? { labels: [...this.settled], score: -Infinity, share: 0 };
  }

  /** The likeliest readings, best first. */
  readings(nBest = this.states.sizes.width): StreamReading[] {
    const op = 'BeamStream.readings';
    this.checkOpen(op);
    const { width } = this.states.sizes;
    if (!Number.isInteger(nBest) || nBest < 1 || nBest > width)
      throw new ValueError(op, `nBest is ${describe(nBest)}; it must be a whole number from 1 to ${width}`);
    return this.best(nBest);
  }

  private best(nBest: number): StreamReading[] {
    const { labels, logProbs } = this.states.read(0, this.states.sizes.width);
    const top = logProbs[0] ?? 0;
    const total = logProbs.reduce((sum, logProb) => sum + Math.exp(logProb - top), 0);
    return labels.slice(0, nBest).map((open, k) => ({
      labels: [...this.settled, ...open],
      score: logProbs[k]!,
      share: Math.exp(logProbs[k]! - top) / total,
    }));
  }

  /** The reading of the whole; gives the memory back. The stream answers nothing else any more. */
  finish(): StreamReading {
    if (this.last) return this.last;
    const reading = this.partial();
    this.states.close();
    arenas.unregister(this);
    return (this.last = reading);
  }

  /** The state as tensors, for `saveSafetensors`; `BeamStream.restore` goes on from there, also in another process. */
  save(): SavedStream {
    this.checkOpen('BeamStream.save');
    const { classes, frames, handedOn: taken, settled } = this;
    const { width, blank, horizon } = this.states.sizes;
    const sizes = { classes, width, blank, horizon, frames, taken };
    return writeStream('BeamStream.save', sizes, settled, this.states.save(0));
  }

  /**
   * A stream that goes on where another one was saved.
   * @param options those of the saved stream, where they are known: they are compared.
   * @throws {FormatError} for anything that `save` has not made: parts of different streams, cut or changed ones.
   * @throws {ValueError} for options that are not those of the saved stream.
   */
  static restore(saved: Readonly<Record<string, Tensor>>, options: BeamStreamOptions = {}): BeamStream {
    const op = 'BeamStream.restore';
    checkOptions(op, options, OPTIONS);
    const { sizes, settled, state, refuse } = readStream(op, saved);
    for (const name of OPTIONS) {
      const wanted = options[name] ?? sizes[name];
      if (wanted !== sizes[name])
        throw new ValueError(op, `${name} is ${describe(wanted)}; the saved stream's is ${sizes[name]}`);
    }
    const { classes, width, blank, horizon } = sizes;
    const stream = new BeamStream(classes, { width, blank, horizon });
    if (!stream.states.restore(0, state)) throw refuse();
    stream.frames = sizes.frames;
    stream.handedOn = sizes.taken;
    stream.settled = settled;
    return stream;
  }
}
