import type { Arena, Buffer } from '../../backends/backend.js';
import { DTypeError, FormatError, ShapeError, ValueError } from '../../errors.js';
import { checkOptions, checkTensor, describe } from '../../tensor/arguments.js';
import { fromTypedArray } from '../../tensor/create.js';
import { hostBackend } from '../../tensor/device.js';
import { isFloat } from '../../tensor/dtype.js';
import { formatShape } from '../../tensor/shape.js';
import { Tensor } from '../../tensor/tensor.js';
import { cast } from '../cast.js';
import { badScore, checkWidth } from './beam.js';
import { BeamStates } from './beam-state.js';

export interface BeamStreamOptions {
  /** Prefixes that are followed at a time; 32 by default. */
  readonly width?: number;
  /** The class that stands for no label; 0 by default. */
  readonly blank?: number;
}

/** What a stream has read. */
export interface StreamReading {
  readonly labels: number[];
  /** The logarithm of the reading's probability as far as the beam has followed it. */
  readonly score: number;
  /** Its share of what the beam holds, from 0 to 1. */
  readonly share: number;
}

/** Frames after which labels that all prefixes share are taken out of the beam's memory. */
const CUT_EVERY = 256;

const arenas = new FinalizationRegistry<{ arena: Arena }[]>((held) => {
  for (const { arena } of held) if ((arena as { isOpen?: boolean }).isOpen !== false) arena.close();
});

/**
 * Beam search over a stream of unknown length: frames come in pieces of any size, with the same result, to the bit, as all at once. Memory stays
 * flat, but for the text itself: what all prefixes of the beam share will not change any more and leaves the beam.
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
  private readonly settled: number[] = [];
  private frames = 0;
  private sinceCut = 0;
  private finished = false;

  /** @throws {ValueError} for sizes and options out of range. */
  constructor(
    readonly classes: number,
    options: BeamStreamOptions = {},
  ) {
    const op = 'BeamStream';
    checkOptions(op, options, ['width', 'blank']);
    const { width = 32, blank = 0 } = options;
    if (!Number.isInteger(classes) || classes < 1)
      throw new ValueError(op, `classes is ${describe(classes)}; it must be a whole number from 1 on`);
    checkWidth(op, width);
    if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
      throw new ValueError(op, `blank is ${describe(blank)}; it must be a class in [0, ${classes})`);
    this.states = new BeamStates(op, { width, classes, blank }, 1);
    arenas.register(this, this.states.arenas as { arena: Arena }[], this);
  }

  /**
   * Reads on. The frames' scores must be on the host.
   * @param logProbs [frames, classes]
   * @throws {ShapeError | DTypeError | ValueError} for a wrong shape, NaN or Infinity; a stream that has met a bad score stays before that frame.
   */
  push(logProbs: Tensor): this {
    const op = 'BeamStream.push';
    if (this.finished) throw new ValueError(op, 'the stream is finished');
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

  private settle(): void {
    this.sinceCut = 0;
    for (const label of this.states.cut(0)) this.settled.push(label);
  }

  /** The labels that all prefixes of the beam begin with: nothing that comes can change them. */
  get stable(): readonly number[] {
    this.settle();
    return this.settled;
  }

  /** The likeliest reading of what has come so far. */
  partial(): StreamReading {
    return this.readings(1)[0] ?? { labels: [...this.settled], score: -Infinity, share: 0 };
  }

  /** The likeliest readings, best first. */
  readings(nBest = this.states.sizes.width): StreamReading[] {
    const { width } = this.states.sizes;
    if (!Number.isInteger(nBest) || nBest < 1 || nBest > width)
      throw new ValueError(
        'BeamStream.readings',
        `nBest is ${describe(nBest)}; it must be a whole number from 1 to ${width}`,
      );
    const { labels, logProbs } = this.states.read(0, width);
    const top = logProbs[0] ?? 0;
    const total = logProbs.reduce((sum, logProb) => sum + Math.exp(logProb - top), 0);
    return labels.slice(0, nBest).map((open, k) => ({
      labels: [...this.settled, ...open],
      score: logProbs[k]!,
      share: Math.exp(logProbs[k]! - top) / total,
    }));
  }

  /** The reading of the whole; gives the memory back, and takes no more frames. */
  finish(): StreamReading {
    const reading = this.partial();
    if (!this.finished) this.states.close();
    arenas.unregister(this);
    this.finished = true;
    return reading;
  }

  /** The state as tensors, for `saveSafetensors`; `BeamStream.restore` goes on from there, also in another process. */
  save(): Record<'sizes' | 'settled' | 'state', Tensor> {
    if (this.finished) throw new ValueError('BeamStream.save', 'the stream is finished');
    const { width, blank } = this.states.sizes;
    const { room, words } = this.states.save(0);
    const int32 = (values: ArrayLike<number>): Tensor =>
      fromTypedArray(Int32Array.from(values), [values.length], 'int32', 'BeamStream.save');
    return {
      sizes: int32([this.classes, width, blank, room, this.frames, this.sinceCut]),
      settled: int32(this.settled),
      state: int32(words),
    };
  }

  /** A stream that goes on where another one was saved. @throws {FormatError} for anything that `save` has not made. */
  static restore(saved: Readonly<Record<string, Tensor>>): BeamStream {
    const op = 'BeamStream.restore';
    const { sizes, settled, state } = saved;
    for (const part of [sizes, settled, state])
      if (!(part instanceof Tensor) || part.dtype !== 'int32' || part.rank !== 1)
        throw new FormatError(op, 'a saved stream has three int32 lists: sizes, settled and state');
    const [classes, width, blank, room, frames, sinceCut] = sizes!.dataSync() as Int32Array;
    const stream = new BeamStream(classes!, { width: width!, blank: blank! });
    stream.states.restore(0, { room: room!, words: state!.dataSync() as Int32Array });
    stream.frames = frames!;
    stream.sinceCut = sinceCut!;
    for (const label of settled!.dataSync()) stream.settled.push(label);
    return stream;
  }
}
