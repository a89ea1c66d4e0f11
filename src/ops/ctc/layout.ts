import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { checkTensor, describe } from '../../tensor/arguments.js';
import { isFloat } from '../../tensor/dtype.js';
import { formatShape, type Shape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';
import { expandDims, permute, reshape } from '../movement/index.js';

/** What lies along the axes of scores: frames first ('TNC', the default, as in torch), or sequences first ('NTC', as layers give them). */
export type CtcLayout = 'TNC' | 'NTC';

/** What every function of CTC scores is told about them. */
export interface ScoresOptions {
  /** The class that stands for no label; 0 by default. */
  readonly blank?: number;
  /** Where frames and sequences lie: 'TNC' (the default) for [T, N, C], or 'NTC' for [N, T, C]. The same for scores [T, C]. */
  readonly layout?: CtcLayout;
}

/** The sizes of scores, as they were read. */
export interface CtcScores {
  readonly frames: number;
  readonly batch: number;
  readonly classes: number;
  readonly blank: number;
  readonly layout: CtcLayout;
  /** Tells the reading in words, for messages about lengths and counts: a batch in the other layout is the first thing to look for. */
  readonly reading: () => string;
}

/**
 * Checks scores of CTC and tells what their axes are.
 * @param what names the scores in messages.
 * @throws {ShapeError | DTypeError | ValueError}
 */
export function checkScores(op: string, what: string, scores: unknown, options: ScoresOptions): CtcScores {
  const { blank = 0, layout = 'TNC' } = options;
  checkTensor(op, what, scores);
  const { shape, dtype } = scores;
  const are = what.startsWith('the ') ? 'are' : 'is';
  const they = are === 'are' ? 'they' : 'it';
  if (!isFloat(dtype)) throw new DTypeError(op, `${what} ${are} ${dtype}; ${they} must be a float dtype`);
  if ((layout as unknown) !== 'TNC' && (layout as unknown) !== 'NTC')
    throw new ValueError(op, `layout is ${describe(layout)}; it must be 'TNC' or 'NTC'`);
  if (shape.length !== 2 && shape.length !== 3)
    throw new ShapeError(
      op,
      `${what} ${are} ${formatShape(shape)}; ${they} must be ${layout === 'TNC' ? '[T, N, C]' : '[N, T, C]'} or [T, C]`,
    );
  const [frames, batch] = sizes(shape, layout);
  const classes = shape.at(-1)!;
  if (classes === 0)
    throw new ShapeError(op, `${what} ${formatShape(shape)} ${are === 'are' ? 'have' : 'has'} no classes`);
  if (!Number.isInteger(blank) || blank < 0 || blank >= classes)
    throw new ValueError(op, `blank is ${describe(blank)}; it must be a class in [0, ${classes})`);
  const reading = (): string =>
    `the scores ${formatShape(shape)} read as ` +
    (shape.length === 2
      ? `T = ${frames}, C = ${classes}`
      : `T = ${frames}, N = ${batch}, C = ${classes} (layout '${layout}')`);
  return { frames, batch, classes, blank, layout, reading };
}

function sizes(shape: Shape, layout: CtcLayout): [frames: number, batch: number] {
  if (shape.length === 2) return [shape[0]!, 1];
  return layout === 'TNC' ? [shape[0]!, shape[1]!] : [shape[1]!, shape[0]!];
}

/** Scores as kernels take them, [T, N, C]. From 'NTC' this is a copy, unless there is only one frame or one sequence. */
export function toFramesFirst(scores: Tensor, layout: CtcLayout): Tensor {
  if (scores.rank === 2) return expandDims(scores, 1);
  return layout === 'TNC' ? scores : exchange(scores);
}

/** A tensor [T, N, C] in the layout and rank of the scores that it was made of. */
export function fromFramesFirst(x: Tensor, scores: Tensor, layout: CtcLayout): Tensor {
  return scores.rank === 2 || layout === 'TNC' ? reshape(x, scores.shape) : exchange(x);
}

/** The first two axes exchanged. */
function exchange(x: Tensor): Tensor {
  const [a, b, c] = x.shape as [number, number, number];
  return a === 1 || b === 1 ? reshape(x, [b, a, c]) : permute(x, [1, 0, 2]);
}
