import { defineOp, type Launcher, type OpFunction, type Spec } from '../../autograd/op.js';
import { recordingTapes } from '../../autograd/tape.js';
import { regionFor } from '../../autograd/trace.js';
import type { Arena, Buffer } from '../../backends/backend.js';
import type { Kernel, Params } from '../../backends/kernel.js';
import { GradientError } from '../../errors.js';
import { fromTypedArray, lendTo, moveTo, type TensorLike } from '../../tensor/create.js';
import { Tensor } from '../../tensor/tensor.js';
import { sum } from '../broadcast.js';
import { cast } from '../cast.js';
import { div, equal, mul, neg, where } from '../elementwise.js';
import { mean } from '../moments.js';
import type { Run } from '../along-axes.js';
import { reshape } from '../movement/index.js';
import type { CtcTargets } from './lattice.js';
import { type Habit, cotangentsOf, habitOf, sameNumbers } from './habit.js';
import { type CtcLayout, fromFramesFirst, toFramesFirst } from './layout.js';
import { checkProblem, type CtcOptions, type CtcProblem, optionsOfCall } from './options.js';
import { warnOfLogits } from './warning.js';

const INPUTS = ['scores', 'lattice'] as const;
const PARAMS = { frames: 'u32', batch: 'u32', classes: 'u32', width: 'u32', blank: 'u32', logits: 'u32' } as const;

/** A kernel over a batch of sequences. `lattice` is what `latticeOf` makes. */
const declare = (name: string, more: readonly string[], outputs: readonly string[], family = 'ctc/loss'): Kernel => ({
  name,
  family,
  inputs: [...INPUTS, ...more],
  outputs,
  types: { lattice: ['int32'] },
  params: PARAMS,
});

/** Losses and, where the second output is there, their gradients with respect to the scores. */
const lossKernel = declare('ctcLoss', [], ['losses', 'gradient']);
/** The gradients alone. */
const gradientKernel = declare('ctcGradient', [], ['gradient']);
/** The same two with each sequence's gradient times a number of its own: for devices that are the host, see `expects`. */
const scaledLossKernel = declare('ctcScaledLoss', ['cotangents'], ['losses', 'gradient']);
const scaledGradientKernel = declare('ctcScaledGradient', ['cotangents'], ['gradient']);
/** For other devices: the losses with what the gradient is made of, and the gradient made of that, each sequence's times its cotangent. */
const forwardKernel: Kernel = {
  ...declare('ctcForward', [], ['losses', 'states', 'totals', 'norms']),
  types: { lattice: ['int32'], states: ['int32'], totals: ['int32'] },
};
const backwardKernel: Kernel = {
  ...declare('ctcBackward', ['states', 'totals', 'norms', 'cotangents'], ['gradient']),
  types: { lattice: ['int32'], states: ['int32'], totals: ['int32'] },
};
/** Posteriors of the classes: minus the gradient with respect to log-probabilities. */
const posteriorKernel = declare('ctcPosterior', [], ['posterior']);
/** The losses' second derivatives times a direction. */
const curvatureKernel = declare('ctcCurvature', ['direction'], ['product'], 'ctc/curvature');
/** A gradient with every sequence scaled by a number of its own. */
const scaleKernel: Kernel = {
  name: 'ctcScale',
  family: 'ctc/loss',
  inputs: ['x', 'scale'],
  outputs: ['out'],
  params: { frames: 'u32', batch: 'u32', classes: 'u32' },
};

/** The batch as kernels take it, in one int32 buffer: input lengths [N], target lengths [N], targets [N, width]; and the marks, beyond the host. */
function latticeOf(problem: CtcProblem, { device }: Tensor, arena: Arena | null = null): Buffer {
  const { batch, width, targets, inputLengths, targetLengths } = problem;
  const marks = device.isHost ? 0 : batch * slotsOf(problem);
  const lattice = new Int32Array(batch * (2 + width) + marks);
  lattice.set(inputLengths);
  lattice.set(targetLengths, batch);
  lattice.set(targets, 2 * batch);
  if (marks > 0) mark(lattice.subarray(batch * (2 + width)), problem);
  return device.upload('int32', lattice, arena);
}

/** What a kernel keeps of a frame: every class, or the blank and the labels of the target, whichever are fewer. */
const slotsOf = ({ classes, width }: CtcProblem): number => Math.min(classes, 1 + width);

/** Marks [N, slots]: of every class whether the target can use it; or, where there are more classes than that, of each label where it is first in its target. */
function mark(marks: Int32Array, problem: CtcProblem): void {
  const { batch, width, classes, blank, targets, targetLengths } = problem;
  const slots = slotsOf(problem);
  const byClass = slots === classes;
  const seen = byClass ? null : new Int32Array(classes); // where a class was seen last, plus one
  for (let n = 0; n < batch; n++) {
    const [from, to] = [n * width, n * slots];
    if (byClass) marks[to + blank] = 1;
    for (let k = 0; k < targetLengths[n]!; k++) {
      const label = targets[from + k]!;
      if (!seen) marks[to + label] = 1;
      else {
        if (seen[label]! <= from) seen[label] = from + k + 1;
        marks[to + k] = seen[label]! - 1 - from;
      }
    }
  }
}

/** The lattice as an operand: it lives as long as what is computed with it, or as targets that may come again. */
function latticeBeside(scores: Tensor, problem: CtcProblem): Tensor {
  const { known } = problem;
  const make = (arena: Arena | null): Tensor => {
    const lattice = latticeOf(problem, scores, arena);
    return new Tensor(lattice, [lattice.length], null, 'ctcLoss');
  };
  if (known) return known.tensor('lattice', scores.device, () => make(null));
  return make(regionFor([scores])?.on(scores.device) ?? null);
}

const problemParams = ({ frames, batch, classes, width, blank, logits }: CtcProblem): Params => ({
  frames,
  batch,
  classes,
  width,
  blank,
  logits: Number(logits),
});

/** How the losses have been reduced lately. Only how fast the backward pass is depends on it. */
let habit: Habit = 'meanPerLabel';

/**
 * Whether a gradient is multiplied with expected cotangents as it is written: a pass over memory less, if they prove right. To see whether they
 * do, the real ones are read, which costs nothing where memory is the host's own.
 */
const expects = ({ batch }: CtcProblem, scores: Tensor): boolean =>
  batch > 0 && scores.dtype === 'float32' && scores.device.isHost;

/**
 * @internal Bytes of the states that may be kept from the losses to their gradient. Beyond, the gradient is computed with the losses, a part of the
 * batch at a time. Exported for tests, which make it small.
 */
export const keptLimit = { bytes: 2 ** 30 };

/** What is kept on devices other than the host: alpha and beta of each label, what is known of each sequence and of each row. Null where it is too much. */
function keptOf({ frames, batch, width }: CtcProblem, { device }: Tensor): readonly Spec[] | null {
  const words = { states: 4 * frames * batch * width, totals: 4 * batch, norms: 2 * frames * batch };
  if (device.isHost || 4 * words.states > Math.min(keptLimit.bytes, device.maxBufferBytes)) return null;
  return [
    { shape: [words.states], dtype: 'int32' },
    { shape: [words.totals], dtype: 'int32' },
    { shape: [words.norms], dtype: 'float32' },
  ];
}

interface LossAttrs {
  readonly problem: CtcProblem;
  /** What is kept for the gradient, which is computed later; null where it is computed at once. The op has the lattice as a second input then. */
  readonly kept: readonly Spec[] | null;
  /** Whether the gradient is wanted as well: when a tape records. */
  readonly withGradient: boolean;
  /** The cotangents that the saved gradient has been multiplied with; null for ones. */
  readonly expected: Float32Array | null;
}

/** -log of the probability of each sequence's target, summed over all alignments. */
const lossOp = defineOp<LossAttrs>({
  name: 'ctcLoss',
  infer: ([scores], { problem, withGradient, kept }) => {
    const losses = { shape: [problem.batch], dtype: scores!.dtype };
    if (kept) return [losses, ...kept];
    return withGradient ? [losses, { shape: scores!.shape, dtype: scores!.dtype }] : losses;
  },
  run: (call, [scores], { problem, expected, kept }) => {
    if (kept) launchWith(call, forwardKernel, call.inputs, problem);
    else launch(call, expected ? scaledLossKernel : lossKernel, scores!, problem, expected);
  },
  vjp: (g, { inputs, attrs: { problem, expected, kept }, saved }) => {
    const [scores, lattice] = inputs;
    if (recordingTapes([...inputs, g]).length > 0)
      return [scaleOp([gradientOp([scores!], { problem, cotangents: null }), g], null), null];
    if (kept) return [backwardOp([scores!, lattice!, ...saved, g], { problem }), null];
    const [gradient] = saved;
    const canLook = (expected !== null || expects(problem, inputs[0]!)) && !g.buffer.isArriving;
    const values = canLook ? (g.rawDataSync('view') as Float32Array) : null;
    if (values && (expected ? sameNumbers(values, expected) : values.every((value) => value === 1))) return [gradient!];
    if (values) habit = habitOf(values, problem);
    if (values && expected) return [gradientOp(inputs, { problem, cotangents: values.slice() })];
    return [scaleOp([expected ? gradientOp(inputs, { problem, cotangents: null }) : gradient!, g], null)];
  },
});

/** Launches a kernel over the batch. `more` is the kernel's third input, as a buffer or as numbers. */
function launch(
  call: Launcher,
  kernel: Kernel,
  scores: Tensor,
  problem: CtcProblem,
  more: Buffer | Float32Array | null = null,
): void {
  const { device } = scores;
  const lattice = latticeOf(problem, scores);
  const third = more instanceof Float32Array ? device.upload('float32', more) : more;
  const inputs = [call.inputs[0]!, lattice, ...(third ? [third] : [])];
  launchWith(call, kernel, inputs, problem);
  device.discard(lattice);
  if (third && third !== more) device.discard(third);
}

function launchWith(call: Launcher, kernel: Kernel, inputs: readonly Buffer[], problem: CtcProblem): void {
  call.launch({ kernel, inputs, outputs: call.outputs, params: problemParams(problem), grid: problem.batch });
}

/** The gradient from what the losses have kept, every sequence's times its cotangent. */
const backwardOp = defineOp<{ problem: CtcProblem }>({
  name: 'ctcBackward',
  infer: ([scores]) => ({ shape: scores!.shape, dtype: scores!.dtype }),
  run: (call, _inputs, { problem }) => {
    launchWith(call, backwardKernel, call.inputs, problem);
  },
});

/** The gradient of each sequence's loss with respect to its own scores. */
const gradientOp = defineOp<{ problem: CtcProblem; cotangents: Float32Array | null }>({
  name: 'ctcGradient',
  infer: ([scores]) => ({ shape: scores!.shape, dtype: scores!.dtype }),
  run: (call, [scores], { problem, cotangents }) => {
    launch(call, cotangents ? scaledGradientKernel : gradientKernel, scores!, problem, cotangents);
  },
  // The Hessian of a loss is symmetric: its vjp is its jvp. (With cotangents it is only ever called untraced.)
  vjp: (g, { inputs: [scores], attrs: { problem } }) => [curvatureOp([scores!, g], { problem })],
});

const posteriorOp = defineOp<{ problem: CtcProblem }>({
  name: 'ctcPosterior',
  infer: ([logProbs]) => ({ shape: logProbs!.shape, dtype: logProbs!.dtype }),
  run: (call, [logProbs], { problem }) => {
    launch(call, posteriorKernel, logProbs!, problem);
  },
  vjp: (g, { inputs: [logProbs], attrs }) => [neg(curvatureOp([logProbs!, g], attrs))],
});

const curvatureOp: OpFunction<{ problem: CtcProblem }> = defineOp<{ problem: CtcProblem }>({
  name: 'ctcCurvature',
  infer: ([scores]) => ({ shape: scores!.shape, dtype: scores!.dtype }),
  run: (call, [scores], { problem }) => {
    launch(call, curvatureKernel, scores!, problem, call.inputs[1]);
  },
  vjp: (g, { inputs: [scores], attrs, needs }) => {
    if (needs[0])
      throw new GradientError(
        'ctcLoss',
        'third derivatives with respect to the scores are not implemented; the first and the second are',
      );
    return [null, curvatureOp([scores!, g], attrs)];
  },
});

/** x [T, N, C] times scale [N]. */
const scaleOp: OpFunction<null> = defineOp<null>({
  name: 'ctcScale',
  infer: ([x]) => ({ shape: x!.shape, dtype: x!.dtype }),
  run: (call, [x]) => {
    const [frames, batch, classes] = x!.shape as [number, number, number];
    call.launch({
      kernel: scaleKernel,
      inputs: call.inputs,
      outputs: call.outputs,
      params: { frames, batch, classes },
      grid: x!.size,
    });
  },
  vjp: (g, { inputs: [x, scale], needs }) => [
    needs[0] ? scaleOp([g, scale!], null) : null,
    needs[1] ? sum(mul(g, x!), [0, 2]) : null,
  ],
});

const POSTERIOR_OPTIONS = ['inputLengths', 'targetLengths', 'layout', 'blank'] as const;
const LOSS_OPTIONS = [...POSTERIOR_OPTIONS, 'from', 'reduction', 'zeroInfinity'] as const;

/** The options of `ctcPosterior`. */
export type PosteriorOptions = Pick<CtcOptions, (typeof POSTERIOR_OPTIONS)[number]>;

/**
 * Connectionist temporal classification: -log of the probability that the scores give to each target, summed over all its alignments
 * (A. Graves et al., "Connectionist Temporal Classification", ICML 2006). In nats.
 *
 * Differentiable twice by the scores. The gradient is the true derivative, also where log-probabilities are not normalised: minus the
 * posterior of each class for log-probabilities, softmax minus posterior for logits. A target that the frames cannot hold, or that the
 * scores make impossible (-Infinity), has loss Infinity and gradient 0. Frames past an input's length are never read and get gradient 0.
 * A NaN within a sequence makes that sequence's loss and gradient NaN and no other's.
 *
 * ```ts
 * const losses = ctcLoss(logits, [[3, 1, 4], [1, 5]], { inputLengths: [50, 42], from: 'logits' });
 * const same = ctcLoss(logits, [[3, 1, 4], [1, 5]], [50, 42], undefined, { from: 'logits' });
 * ```
 * @param scores log-probabilities (or logits, see `from`), [T, N, C] (or [N, T, C], see `layout`), or [T, C] for one sequence; any float
 * dtype, computed in at least float32 with float64 states.
 * @param targets labels, padded [N, S], ragged (one list a sequence) or concatenated; any integer type.
 * @param options the lengths among them: `inputLengths`, frames of each sequence, and `targetLengths`, labels of each.
 * @returns losses [N], or a scalar for [T, C] scores or a reduction.
 * @throws {ShapeError | DTypeError | ValueError} before anything is computed, naming the sequence and the value.
 */
export function ctcLoss(scores: Tensor, targets: CtcTargets, options: CtcOptions): Tensor;
/**
 * The same, with the lengths one by one.
 * @param inputLengths frames of each sequence; all T when undefined.
 * @param targetLengths labels of each sequence; from the targets' layout when undefined.
 */
export function ctcLoss(
  scores: Tensor,
  targets: CtcTargets,
  inputLengths?: TensorLike,
  targetLengths?: TensorLike,
  options?: CtcOptions,
): Tensor;
export function ctcLoss(
  scores: Tensor,
  targets: CtcTargets,
  inputLengths?: TensorLike | CtcOptions,
  targetLengths?: TensorLike,
  given?: CtcOptions,
): Tensor {
  return lossesOf(scores, targets, optionsOfCall('ctcLoss', LOSS_OPTIONS, inputLengths, targetLengths, given), true);
}

/** @internal `ctcLoss`, which need not wonder about losses below 0: where scores are known to be meant as they are. */
export function lossesOf(scores: Tensor, targets: CtcTargets, options: CtcOptions, warns: boolean): Tensor {
  const checked = checkProblem('ctcLoss', scores, targets, options);
  const logits = checked.logits ? null : logitsBehind(scores);
  const problem = logits ? { ...checked, logits: true } : checked;
  const batched = asBatch(logits ?? scores, options.layout);
  const withGradient = recordingTapes([batched]).length > 0;
  const expected = withGradient && expects(problem, batched) ? cotangentsOf(habit, problem) : null;
  const kept = withGradient ? keptOf(problem, batched) : null;
  const inputs = kept ? [batched, latticeBeside(batched, problem)] : [batched];
  let losses = lossOp(inputs, { problem, withGradient, expected, kept });
  if (warns && !problem.logits) warnOfLogits(losses, problem.frames, scores.dtype);
  if (options.zeroInfinity) losses = where(equal(losses, Infinity), 0, losses);
  if (options.reduction === 'sum') return sum(losses);
  if (options.reduction === 'mean') return mean(div(losses, lengthsBeside(losses, problem)));
  return scores.rank === 2 ? reshape(losses, []) : losses;
}

/**
 * The posterior occupancy of CTC: how likely each frame emits each class, given that the frames spell the target. Every frame that counts
 * adds up to 1; frames past the end and impossible sequences are 0. It is minus the gradient of `ctcLoss` with respect to log-probabilities.
 * Differentiable once by the log-probabilities.
 *
 * @param logProbs [T, N, C] (or [N, T, C], see `layout`) or [T, C], normalised or not.
 * @param options the lengths among them, as in `ctcLoss`.
 * @returns the shape of `logProbs`; float64 for float64, else float32.
 */
export function ctcPosterior(logProbs: Tensor, targets: CtcTargets, options: PosteriorOptions): Tensor;
/**
 * The same, with the lengths one by one.
 * @param inputLengths frames of each sequence; all T when undefined.
 * @param targetLengths labels of each sequence; from the targets' layout when undefined.
 */
export function ctcPosterior(
  logProbs: Tensor,
  targets: CtcTargets,
  inputLengths?: TensorLike,
  targetLengths?: TensorLike,
  options?: PosteriorOptions,
): Tensor;
export function ctcPosterior(
  logProbs: Tensor,
  targets: CtcTargets,
  inputLengths?: TensorLike | PosteriorOptions,
  targetLengths?: TensorLike,
  given?: PosteriorOptions,
): Tensor {
  const options = optionsOfCall('ctcPosterior', POSTERIOR_OPTIONS, inputLengths, targetLengths, given);
  const problem = checkProblem('ctcPosterior', logProbs, targets, options);
  const posterior = posteriorOp([asBatch(logProbs, options.layout)], { problem });
  return fromFramesFirst(posterior, logProbs, options.layout ?? 'TNC');
}

/**
 * The logits that traced log-probabilities were made of by `logSoftmax`: the loss of both is the same, and its gradient takes one pass instead
 * of two. Null unless every tape that records knows the step from the ones to the others.
 */
function logitsBehind(scores: Tensor): Tensor | null {
  const producers = new Set(recordingTapes([scores]).map((tape) => tape.producerOf(scores)));
  const [producer] = producers;
  if (producers.size !== 1 || producer?.op.name !== 'logSoftmax') return null;
  return (producer.attrs as Run).from === scores.rank - 1 ? producer.inputs[0]! : null;
}

/** Scores as [T, N, C] of a dtype that kernels compute in. */
function asBatch(scores: Tensor, layout: CtcLayout = 'TNC'): Tensor {
  return toFramesFirst(scores.dtype === 'float64' ? scores : cast(scores, 'float32'), layout);
}

/** The targets' lengths to divide losses by, beside them: with known targets they stay on the device. */
function lengthsBeside(losses: Tensor, problem: CtcProblem): Tensor {
  const { known } = problem;
  const { device } = losses;
  if (known && !device.isHost) return known.tensor('lengths', device, () => moveTo(lengthsOf(problem, losses), losses));
  return lendTo(lengthsOf(problem, losses), losses);
}

function lengthsOf({ targetLengths }: CtcProblem, { dtype }: Tensor): Tensor {
  const divisors = Float32Array.from(targetLengths, (length) => Math.max(length, 1));
  const data = dtype === 'float64' ? Float64Array.from(divisors) : divisors;
  return fromTypedArray(data, [data.length], dtype, 'ctcLoss');
}
