import { ShapeError, ValueError } from '../../errors.js';
import { checkBoolean, checkOptions, checkTensor, describe, isPlainObject } from '../../tensor/arguments.js';
import { tensor, type TensorLike } from '../../tensor/create.js';
import { hostBackend } from '../../tensor/device.js';
import { formatShape } from '../../tensor/shape.js';
import { Tensor } from '../../tensor/tensor.js';
import type { ScoresJob } from './host-scores.js';
import type { CtcTargets } from './lattice.js';
import { checkProblem, type CtcOptions, type CtcProblem, optionsOfCall } from './options.js';

/** The options of `ctcAlign`: those of `ctcLoss` that are about scores and lengths, and these. */
export interface AlignOptions extends Pick<CtcOptions, 'blank' | 'layout' | 'from' | 'inputLengths' | 'targetLengths'> {
  /**
   * A label of the targets that stands for any run of one frame or more, whatever is in it: speech that nobody has written down, a word
   * without known letters. It may be a number that is no class, -1 for instance. Each frame costs 0, or `logProb`.
   */
  readonly wildcard?: number | { readonly label: number; readonly logProb?: number };
  /**
   * Whether frames before the first label and after the last one may be left out, as those of a recording around what was read (L. Kürzinger et al. 2020).
   * They cost 0, or a log-probability a frame, for each end: `{ start: true, end: -0.5 }`.
   */
  readonly freeEnds?: boolean | { readonly start?: boolean | number; readonly end?: boolean | number };
  /** Log-probabilities of the classes [C] over all frames, finite, subtracted from the scores: spans become longer where the blank reigns. */
  readonly priors?: TensorLike;
  /** Whether spans get their `occupancy`; it takes a pass forward and one backward over all alignments, and no memory to speak of. */
  readonly occupancy?: boolean;
}

/** What costs the same at every frame. */
export interface Constants {
  readonly wildcard: number | null;
  readonly wildcardLogProb: number;
  /** Null where the end is not free. */
  readonly opening: number | null;
  readonly closing: number | null;
}

export interface AlignJob extends ScoresJob {
  readonly op: string;
  readonly problem: CtcProblem;
  readonly constants: Constants;
  readonly occupancy: boolean;
}

const OPTIONS = [
  'inputLengths',
  'targetLengths',
  'layout',
  'blank',
  'from',
  'wildcard',
  'freeEnds',
  'priors',
  'occupancy',
] as const;

/** Checks a call before anything is computed. */
export function checkAlignment(
  op: string,
  scores: Tensor,
  targets: CtcTargets,
  inputLengths: TensorLike | AlignOptions | undefined,
  targetLengths: TensorLike | undefined,
  given: AlignOptions | undefined,
): AlignJob {
  const options = optionsOfCall<AlignOptions>(op, OPTIONS, inputLengths, targetLengths, given);
  const { occupancy = false, layout = 'TNC' } = options;
  checkBoolean(op, 'occupancy', occupancy);
  const constants = { ...readWildcard(op, options.wildcard), ...readEnds(op, options.freeEnds) };
  const problem = checkProblem(op, scores, targets, options, constants.wildcard);
  if (constants.wildcard === problem.blank)
    throw new ValueError(op, `the wildcard is ${problem.blank}, which is the blank`);
  const priors = options.priors === undefined ? null : readPriors(op, options.priors, problem.classes, scores);
  return { op, problem, constants, layout, priors, occupancy };
}

/** A kernel's parameters: NaN where an end is not free. */
export const costsOf = ({
  opening,
  closing,
  wildcardLogProb,
}: Constants): Record<'opening' | 'closing' | 'wildcard', number> => ({
  opening: opening ?? NaN,
  closing: closing ?? NaN,
  wildcard: wildcardLogProb,
});

function readWildcard(op: string, given: AlignOptions['wildcard']): Pick<Constants, 'wildcard' | 'wildcardLogProb'> {
  if (given === undefined) return { wildcard: null, wildcardLogProb: 0 };
  if ((given as unknown) === null) throw new ValueError(op, 'the wildcard is null; leave it out where there is none');
  if (isPlainObject(given)) checkOptions(op, given, ['label', 'logProb']);
  const { label, logProb = 0 } = typeof given === 'object' ? given : { label: given };
  if (!Number.isInteger(label) || label !== (label | 0))
    throw new ValueError(op, `the wildcard is ${describe(label)}; it must be a whole number that fits int32`);
  return { wildcard: label, wildcardLogProb: readCost(op, "the wildcard's logProb", logProb) };
}

function readEnds(op: string, given: AlignOptions['freeEnds'] = false): Pick<Constants, 'opening' | 'closing'> {
  if (typeof given === 'boolean') return { opening: given ? 0 : null, closing: given ? 0 : null };
  if (!isPlainObject(given))
    throw new ValueError(op, `freeEnds is ${describe(given)}; it must be true, false or { start, end }`);
  checkOptions(op, given, ['start', 'end']);
  const read = (end: 'start' | 'end'): number | null => {
    const cost = given[end] ?? false;
    return typeof cost === 'boolean' ? (cost ? 0 : null) : readCost(op, `freeEnds.${end}`, cost);
  };
  return { opening: read('start'), closing: read('end') };
}

function readCost(op: string, what: string, cost: unknown): number {
  if (typeof cost !== 'number' || !Number.isFinite(cost))
    throw new ValueError(op, `${what} is ${describe(cost)}; it must be a finite number`);
  return cost;
}

function readPriors(op: string, given: TensorLike, classes: number, { dtype, device }: Tensor): Tensor {
  const priors =
    given instanceof Tensor ? given : tensor(given, { dtype: dtype === 'float64' ? 'float64' : 'float32', device });
  checkTensor(op, 'priors', priors);
  if (priors.rank !== 1 || priors.shape[0] !== classes)
    throw new ShapeError(op, `the priors are ${formatShape(priors.shape)}; they must be [${classes}], one a class`);
  if (priors.device === hostBackend())
    priors.glance().forEach((prior, c) => {
      if (!Number.isFinite(prior))
        throw new ValueError(op, `priors[${c}] is ${prior}; it must be finite, also for a class that never comes`);
    });
  return priors;
}
