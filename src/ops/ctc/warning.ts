import type { DType } from '../../backends/backend.js';
import { hostBackend } from '../../tensor/device.js';
import { isStorage } from '../../tensor/dtype.js';
import type { Tensor } from '../../tensor/tensor.js';

/** A frame's log-probabilities as rounding may leave them: how far the loss of one frame may be below 0. */
const ROUNDING = 1e-4;
/** The same for float16 and bfloat16. */
const STORAGE_ROUNDING = 1e-2;

let warned = false;

/**
 * Warns, once in a process, where losses of log-probabilities are below 0 by more than rounding: no probability is above 1, so these were
 * most likely logits. Looks only at losses that lie in host memory; a device is not waited for.
 */
export function warnOfLogits(losses: Tensor, frames: number, scores: DType): void {
  if (warned || losses.device !== hostBackend()) return;
  const least = -frames * (isStorage(scores) ? STORAGE_ROUNDING : ROUNDING);
  const values = losses.rawDataSync('view');
  for (let n = 0; n < values.length; n++) {
    if (!(values[n]! < least)) continue;
    warned = true;
    console.warn(
      `[ctcLoss] sequence ${n}: the loss is ${values[n]!.toPrecision(4)}, and log-probabilities give none below 0. ` +
        "If the scores are logits, write { from: 'logits' }, or logSoftmax them first. (Said once.)",
    );
    return;
  }
}
