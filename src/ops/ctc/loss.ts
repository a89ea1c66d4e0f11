import { defineMultiOp, defineOp } from '../../autograd/op.js';
import { recordingTapes } from '../../autograd/tape.js';
import type { Kernel } from '../../backends/backend.js';
import { ValueError } from '../../errors.js';
import { fromTypedArray, moveTo, type TensorLike } from '../../tensor/create.js';
import type { Tensor } from '../../tensor/tensor.js';
import { sum } from '../broadcast.js';
import { div, isFinite, where } from '../elementwise.js';
import { expandDims, reshape } from '../movement.js';
import { mean } from '../reduce.js';
import { checkBatch, type CtcBatch, type CtcOptions, type CtcTargets } from './options.js';

/** Losses of a batch [T, N, C] and, where `withGradient` is 1, their gradient for cotangents of 1. */
const lossKernel: Kernel = {
  name: 'ctcLoss',
  family: 'ctc',
  inputs: ['x', 'targets', 'inputLengths', 'targetLengths'],
  outputs: ['loss', 'gradient'],
  params: { frames: 'u32', sequences: 'u32', classes: 'u32', width: 'u32', blank: 'u32', logits: 'u32', withGradient: 'u32' },
};

/** Each sequence's part of a gradient [T, N, C], times the sequence's cotangent; zeros stay zeros. */
const scaleKernel: Kernel = { name: 'ctcScale', family: 'ctc', inputs: ['gradient', 'cotangents'], outputs: ['out'], params: { frames: 'u32', sequences: 'u32', classes: 'u32' } };

interface LossAttrs extends Pick<CtcBatch, 'frames' | 'sequences' | 'classes' | 'width' | 'blank'> {
  readonly logits: boolean;
  readonly withGradient: boolean;
}

const lossOp = defineMultiOp<LossAttrs>({
  name: 'ctcLoss',
  infer: ([x], { sequences, withGradient }) => [{ shape: [sequences], dtype: x!.dtype }, { shape: withGradient ? x!.shape : [0], dtype: x!.dtype }],
  run: (call, _inputs, { logits, withGradient, ...sizes }) => {
    const params = { ...sizes, logits: Number(logits), withGradient: Number(withGradient) };
    call.launch({ kernel: lossKernel, inputs: call.inputs, outputs: call.outputs, params, grid: sizes.sequences });
  },
  vjp: (g, { attrs: { frames, sequences, classes }, saved: [gradient] }) => [scaleOp([gradient!, g], { frames, sequences, classes }), null, null, null],
});

const scaleOp = defineOp<{ frames: number; sequences: number; classes: number }>({
  name: 'ctcScale',
  infer: ([gradient]) => gradient!,
  run: (call, [gradient], params) => call.launch({ kernel: scaleKernel, inputs: call.inputs, outputs: call.outputs, params, grid: gradient!.size }),
});

/**
 * The connectionist temporal classification loss: minus the log-probability of a target, summed over all alignments with the input.
 * Graves et al., ICML 2006. The signature is that of `torch.nn.functional.ctc_loss`.
 *
 * The gradient is the true derivative, also for log-probabilities that are not normalised: minus the posterior occupancy of each class. A
 * target that does not fit into its input has loss Infinity and gradient 0. Frames beyond an input's length are never read.
 *
 * @param logProbs [T, N, C], or [T, C] for one sequence. With `from: 'logits'`, unnormalised scores.
 * @param targets [N, S] padded, ragged rows, or the labels of all sequences behind one another.
 * @param inputLengths how many frames of each sequence count, at most T.
 * @param targetLengths how many labels each target has.
 * @returns one loss a sequence, [N] (a scalar for [T, C]), or a scalar with `reduction`.
 * @throws {ShapeError | ValueError | DTypeError} naming the sequence and the value, before anything is computed.
 */
export function ctcLoss(logProbs: Tensor, targets: CtcTargets, inputLengths: TensorLike, targetLengths: TensorLike, options: CtcOptions = {}): Tensor {
  const { blank = 0, reduction = 'none', zeroInfinity = false, from = 'logProbs' } = options;
  if (!['none', 'mean', 'sum'].includes(reduction)) throw new ValueError('ctcLoss', `reduction is '${String(reduction)}'; it must be 'none', 'mean' or 'sum'`);
  if (from !== 'logProbs' && from !== 'logits') throw new ValueError('ctcLoss', `from is '${String(from)}'; it must be 'logProbs' or 'logits'`);
  const batch = checkBatch(logProbs, targets, inputLengths, targetLengths, blank);
  const { frames, sequences, classes, width } = batch;
  const integers = (values: Int32Array, shape: readonly number[]): Tensor => moveTo(fromTypedArray(values, shape, 'int32', 'ctcLoss'), logProbs);
  const x = logProbs.rank === 3 ? logProbs : expandDims(logProbs, 1);
  const attrs: LossAttrs = { frames, sequences, classes, width, blank, logits: from === 'logits', withGradient: recordingTapes([x]).length > 0 };
  const [raw] = lossOp([x, integers(batch.targets, [sequences, width]), integers(batch.inputLengths, [sequences]), integers(batch.targetLengths, [sequences])], attrs);
  const losses = zeroInfinity ? where(isFinite(raw!), raw!, 0) : raw!;
  if (reduction === 'sum') return sum(losses);
  if (reduction === 'mean') return mean(div(losses, Array.from(batch.targetLengths, (length) => Math.max(length, 1))));
  return logProbs.rank === 3 ? losses : reshape(losses, []);
}
