import type { Kernel } from '../../backends/kernel.js';
import { ValueError } from '../../errors.js';
import type { TensorLike } from '../../tensor/create.js';
import { hostBackend } from '../../tensor/device.js';
import type { Tensor } from '../../tensor/tensor.js';
import { type AlignOptions, checkAlignment, type Constants, costsOf } from './align-options.js';
import type { CtcTargets } from './lattice.js';
import { hostScores, hostScoresSync, type HostScores } from './host-scores.js';
import type { CtcProblem } from './options.js';
import { frameOf, type Span } from './spans.js';

export type { AlignOptions } from './align-options.js';

/** Frames that a best path spends on one label. */
export interface LabelSpan extends Span {
  readonly label: number;
  /** The label's place in the target. */
  readonly index: number;
}

/** A best alignment of one sequence. */
export interface Alignment {
  /** Whether the target can be read in these frames at all: there are enough of them, and no path is impossible by its scores. */
  readonly feasible: boolean;
  /** The frames that the target needs at least: its labels, and a blank between equal neighbours. */
  readonly framesNeeded: number;
  /** One span a label, in order; none where the alignment is not feasible. */
  readonly spans: readonly LabelSpan[];
  /** For each frame the index of its label in the target, -1 for the blank, -2 outside of free ends; empty where there is no path. */
  readonly path: Int32Array;
  /** The path's score: the log-probability of this one alignment, in nats; -Infinity where there is none. */
  readonly logProb: number;
  /**
   * Passes over the lattice until this was proven to be a best path: 1 where the band of likely states was enough, 2 where what had been left
   * out could have mattered and was looked at, 0 where lengths decide.
   */
  readonly passes: 0 | 1 | 2;
}

const alignKernel: Kernel = {
  name: 'ctcAlign',
  family: 'ctc/align',
  inputs: ['scores', 'lattice'],
  outputs: ['paths', 'results', 'posterior'],
  types: { lattice: ['int32'], paths: ['int32'], results: ['float64'], posterior: ['float64'] },
  params: {
    frames: 'u32',
    batch: 'u32',
    classes: 'u32',
    width: 'u32',
    blank: 'u32',
    frameStride: 'u32',
    sequenceStride: 'u32',
    opening: 'f32',
    closing: 'f32',
    wildcard: 'f32',
  },
};

/**
 * A best alignment of each target: the path of highest score through CTC's lattice (Graves et al. 2006, section 4.1, with maxima in place of
 * sums), in float64, so that hours of frames add up right. It is always proven to be a best one; of equal paths one is found. Computed on
 * the CPU, sequences over threads; scores on another device are read once.
 *
 * ```ts
 * const [alignment] = await ctcAlign(logProbs, [[3, 1, 4]]);
 * for (const { label, start, end } of alignment.spans) console.log(label, start, end); // frames [start, end)
 * ```
 * @param scores log-probabilities (or logits, see `from`), [T, N, C] (or [N, T, C], see `layout`) or [T, C]; any float dtype.
 * @param targets labels in any layout that `ctcLoss` takes.
 * @param options the lengths among them: `inputLengths`, frames of each sequence, and `targetLengths`, labels of each.
 * @returns one alignment a sequence. A target that does not fit is a result as well: `feasible` is false, `framesNeeded` says why.
 * @throws {ShapeError | DTypeError | ValueError} naming the sequence and the value; also for scores that are NaN or +Infinity.
 */
export function ctcAlign(scores: Tensor, targets: CtcTargets, options: AlignOptions): Promise<Alignment[]>;
/**
 * The same, with the lengths one by one.
 * @param inputLengths frames of each sequence; all T when undefined.
 * @param targetLengths labels of each sequence; from the targets' layout when undefined.
 */
export function ctcAlign(
  scores: Tensor,
  targets: CtcTargets,
  inputLengths?: TensorLike,
  targetLengths?: TensorLike,
  options?: AlignOptions,
): Promise<Alignment[]>;
export async function ctcAlign(
  scores: Tensor,
  targets: CtcTargets,
  inputLengths?: TensorLike | AlignOptions,
  targetLengths?: TensorLike,
  options?: AlignOptions,
): Promise<Alignment[]> {
  const job = checkAlignment('ctcAlign', scores, targets, inputLengths, targetLengths, options);
  return align(job.op, await hostScores(scores, job), job.problem, job.constants, job.occupancy);
}

/** `ctcAlign` at once, for scores that can be read without waiting. @throws {DeviceError} where they cannot; use `await ctcAlign`. */
export function ctcAlignSync(scores: Tensor, targets: CtcTargets, options: AlignOptions): Alignment[];
export function ctcAlignSync(
  scores: Tensor,
  targets: CtcTargets,
  inputLengths?: TensorLike,
  targetLengths?: TensorLike,
  options?: AlignOptions,
): Alignment[];
export function ctcAlignSync(
  scores: Tensor,
  targets: CtcTargets,
  inputLengths?: TensorLike | AlignOptions,
  targetLengths?: TensorLike,
  options?: AlignOptions,
): Alignment[] {
  const job = checkAlignment('ctcAlignSync', scores, targets, inputLengths, targetLengths, options);
  return align(job.op, hostScoresSync(scores, job), job.problem, job.constants, job.occupancy);
}

/** Columns of the kernel's results. */
const RESULT = { score: 0, passes: 1, frame: 2, label: 3, width: 4 } as const;

/** Alignments of checked problems, of scores on the host. @internal */
export function align(
  op: string,
  scores: HostScores,
  problem: CtcProblem,
  constants: Constants,
  withOccupancy: boolean,
): Alignment[] {
  const { frames, batch, width, targets, inputLengths, targetLengths } = problem;
  const lattice = new Int32Array(batch * (2 + width));
  lattice.set(inputLengths);
  lattice.set(targetLengths, batch);
  targets.forEach((label, i) => (lattice[2 * batch + i] = label === constants.wildcard ? WILDCARD : label));
  const host = hostBackend();
  const paths = host.allocate('int32', batch * frames, null);
  const results = host.allocate('float64', batch * RESULT.width, null);
  const posterior = host.allocate('float64', withOccupancy ? batch * frames : 0, null);
  host.dispatch(
    {
      kernel: alignKernel,
      inputs: [scores.tensor.buffer, host.upload('int32', lattice)],
      outputs: [paths, results, posterior],
      params: {
        frames,
        batch,
        classes: problem.classes,
        width,
        blank: problem.blank,
        frameStride: scores.frameStride,
        sequenceStride: scores.sequenceStride,
        ...costsOf(constants),
      },
      grid: batch,
    },
    null,
    op,
  );
  const values = host.readSync!(results, 'view') as Float64Array;
  const path = host.readSync!(paths, 'view') as Int32Array;
  const occupied = host.readSync!(posterior, 'view') as Float64Array;
  for (let n = 0; n < batch; n++) {
    const at = n * RESULT.width;
    if (Number.isNaN(values[at]))
      throw new ValueError(
        op,
        `sequence ${n}, frame ${values[at + RESULT.frame]}: the score of class ${values[at + RESULT.label]} is NaN or Infinity`,
      );
  }
  const found = Array.from({ length: batch }, (_, n) => {
    const labels = targets.subarray(n * width, n * width + targetLengths[n]!);
    const logProb = values[n * RESULT.width]!;
    const feasible = logProb > -Infinity;
    const own = path.slice(n * frames, n * frames + (feasible ? inputLengths[n]! : 0));
    return {
      feasible,
      framesNeeded: framesNeeded(labels, constants.wildcard),
      spans: feasible ? spansOf(own, labels, scores, n, constants) : [],
      path: own,
      logProb,
      passes: values[n * RESULT.width + RESULT.passes] as Alignment['passes'],
    };
  });
  return withOccupancy ? found.map((own, n) => withPosterior(own, occupied.subarray(n * frames))) : found;
}

/** An alignment with the occupancy of its spans, of the posteriors of its frames. */
const withPosterior = (alignment: Alignment, posterior: Float64Array): Alignment => ({
  ...alignment,
  spans: alignment.spans.map((span) => {
    const own = posterior.subarray(span.start, span.end);
    return { ...span, occupancy: own.reduce((sum, x) => sum + x, 0) / own.length };
  }),
});

/** The wildcard as the kernel knows it. */
const WILDCARD = -1;

/** Labels, and a blank between equal neighbours that are classes. */
function framesNeeded(labels: Int32Array, wildcard: number | null): number {
  let needed = labels.length;
  for (let i = 1; i < labels.length; i++) if (labels[i] === labels[i - 1] && labels[i] !== wildcard) needed++;
  return needed;
}

function spansOf(
  path: Int32Array,
  labels: Int32Array,
  scores: HostScores,
  n: number,
  { wildcard, wildcardLogProb }: Constants,
): LabelSpan[] {
  const spans: LabelSpan[] = [];
  for (let t = 0; t < path.length;) {
    const index = path[t]!;
    const start = t;
    if (index < 0) {
      t++;
      continue;
    }
    const label = labels[index]!;
    let sum = 0;
    for (; path[t] === index; t++)
      sum += label === wildcard ? wildcardLogProb : scores.values[frameOf(scores, n, t) + label]!;
    spans.push({ label, index, start, end: t, logProb: sum / (t - start) });
  }
  return spans;
}
