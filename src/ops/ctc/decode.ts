import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { integersOf, type TensorLike } from '../../tensor/create.js';
import { isFloat } from '../../tensor/dtype.js';
import { formatShape, type Shape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';

/** The most probable path of one sequence, collapsed. */
export interface GreedyPath {
  /** The labels read: the best class of every frame, repeats merged, blanks dropped. */
  readonly labels: number[];
  /** For each label the first frame of its run on the path. */
  readonly frames: number[];
  /** Log-probability of the path (one alignment, not of all alignments of the labels): the frames' maxima, summed. */
  readonly logProb: number;
}

export interface GreedyOptions {
  /** The class that stands for no label; 0 by default. */
  readonly blank?: number;
}

/**
 * CTC greedy (best path) decoding: the best class of every frame, repeats merged, blanks dropped (Graves et al. 2006, section 3.2).
 * Of equal classes the lowest wins. Works for unnormalised scores as well; `logProb` is then their sum.
 *
 * @param logProbs [T, N, C] or [T, C], any device; one result a sequence, so [T, C] gives a list of one.
 * @param inputLengths frames of each sequence, all T when left out; what lies beyond is never read.
 * @throws {ValueError} for a NaN inside a sequence, a length outside [0, T] or a blank outside [0, C).
 */
export async function greedyDecode(
  logProbs: Tensor,
  inputLengths?: TensorLike,
  options: GreedyOptions = {},
): Promise<GreedyPath[]> {
  const layout = checkScores(logProbs, options);
  const lengths = checkLengths(inputLengths, layout); // refused before the device is asked for anything
  return bestPaths(await logProbs.data(), lengths, layout);
}

/** `greedyDecode` at once, for scores that can be read without waiting. @throws {DeviceError} where they cannot; use `await greedyDecode`. */
export function greedyDecodeSync(
  logProbs: Tensor,
  inputLengths?: TensorLike,
  options: GreedyOptions = {},
): GreedyPath[] {
  const layout = checkScores(logProbs, options);
  const lengths = checkLengths(inputLengths, layout);
  return bestPaths(logProbs.glance(), lengths, layout);
}

interface Layout {
  readonly frames: number;
  readonly batch: number;
  readonly classes: number;
  readonly blank: number;
}

const OP = 'greedyDecode';

function checkScores(logProbs: Tensor, { blank = 0 }: GreedyOptions): Layout {
  if (!isFloat(logProbs.dtype)) throw new DTypeError(OP, `logProbs is ${logProbs.dtype}; it must be a float dtype`);
  const shape: Shape = logProbs.shape;
  if (shape.length !== 2 && shape.length !== 3)
    throw new ShapeError(OP, `logProbs is ${formatShape(shape)}; it must be [T, N, C] or [T, C]`);
  const frames = shape[0]!;
  const classes = shape.at(-1)!;
  if (classes === 0) throw new ShapeError(OP, `logProbs ${formatShape(shape)} has no classes`);
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw new ValueError(OP, `blank is ${blank}; it must be a class in [0, ${classes})`);
  return { frames, batch: shape.length === 3 ? shape[1]! : 1, classes, blank };
}

function checkLengths(inputLengths: TensorLike | undefined, { frames, batch }: Layout): ArrayLike<number> {
  if (inputLengths === undefined) return new Int32Array(batch).fill(frames);
  const lengths = integersOf(OP, 'inputLengths', inputLengths);
  if (lengths.length !== batch) throw new ShapeError(OP, `${lengths.length} inputLengths for ${batch} sequences`);
  for (let n = 0; n < batch; n++) {
    const length = lengths[n]!;
    if (length < 0 || length > frames)
      throw new ValueError(OP, `sequence ${n}: input length is ${length}; it must be in [0, ${frames}]`);
  }
  return lengths;
}

function bestPaths(
  scores: ArrayLike<number>,
  lengths: ArrayLike<number>,
  { batch, classes, blank }: Layout,
): GreedyPath[] {
  return Array.from({ length: batch }, (_, n) => {
    const labels: number[] = [];
    const frames: number[] = [];
    let logProb = 0;
    let previous = blank;
    for (let t = 0; t < lengths[n]!; t++) {
      const row = (t * batch + n) * classes;
      let best = 0;
      for (let c = 0; c < classes; c++) {
        const score = scores[row + c]!;
        if (Number.isNaN(score))
          throw new ValueError(OP, `sequence ${n}, frame ${t}: class ${c} is NaN, so no class is best`);
        if (score > scores[row + best]!) best = c;
      }
      logProb += scores[row + best]!;
      if (best !== blank && best !== previous) {
        labels.push(best);
        frames.push(t);
      }
      previous = best;
    }
    return { labels, frames, logProb };
  });
}
