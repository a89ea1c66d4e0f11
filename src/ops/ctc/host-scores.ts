import { stopGradient } from '../../autograd/transforms.js';
import type { TypedArray } from '../../backends/backend.js';
import { fromTypedArray } from '../../tensor/create.js';
import { hostBackend } from '../../tensor/device.js';
import { isStorage } from '../../tensor/dtype.js';
import type { Tensor } from '../../tensor/tensor.js';
import { cast } from '../cast.js';
import { sub } from '../elementwise.js';
import { logSoftmax } from '../softmax.js';
import type { CtcLayout } from './layout.js';

/** Scores as decoders take them: float32 or float64, on the host, in the layout that they came in. */
export interface HostScores {
  readonly tensor: Tensor;
  readonly values: TypedArray;
  /** Elements from one frame, and from one sequence, to the next. */
  readonly frameStride: number;
  readonly sequenceStride: number;
}

/** What is to be done to scores before they are read. */
export interface ScoresJob {
  readonly problem: {
    readonly frames: number;
    readonly batch: number;
    readonly classes: number;
    readonly logits: boolean;
  };
  readonly layout: CtcLayout;
  /** Subtracted from every frame. */
  readonly priors: Tensor | null;
}

/** Reads scores once, from any device; normalises logits where they are. */
export async function hostScores(scores: Tensor, job: ScoresJob): Promise<HostScores> {
  const ready = prepare(scores, job);
  if (ready.device === hostBackend()) return onHost(ready, job);
  return onHost(fromTypedArray(await ready.data(), ready.shape, ready.dtype), job);
}

/** The same at once. @throws {DeviceError} on a device that cannot be read without waiting. */
export function hostScoresSync(scores: Tensor, job: ScoresJob): HostScores {
  const ready = prepare(scores, job);
  if (ready.device === hostBackend()) return onHost(ready, job);
  return onHost(fromTypedArray(ready.dataSync(), ready.shape, ready.dtype), job);
}

function prepare(scores: Tensor, { problem, priors }: ScoresJob): Tensor {
  const untraced = stopGradient(scores);
  const wide = isStorage(untraced.dtype) ? cast(untraced, 'float32') : untraced;
  const logProbs = problem.logits ? logSoftmax(wide, -1) : wide;
  return priors ? sub(logProbs, stopGradient(priors)) : logProbs;
}

function onHost(tensor: Tensor, { problem: { frames, batch, classes }, layout }: ScoresJob): HostScores {
  const framesFirst = layout === 'TNC';
  return {
    tensor,
    values: tensor.glance(),
    frameStride: framesFirst ? batch * classes : classes,
    sequenceStride: framesFirst ? classes : frames * classes,
  };
}
