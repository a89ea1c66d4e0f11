import { hostBackend, withinScope } from './device.js';
import { Tensor } from './tensor.js';
import { mapTensors } from './tree.js';
import type { Backend } from '../backends/backend.js';

/**
 * Runs a synchronous function and recycles all that it computed, except the tensors it returns (in any tree). On the CPU this is a matter
 * of speed, not of need: inside, results stay where the kernels work instead of moving to garbage-collected memory after each op.
 */
export function scope<T>(fn: () => T, backend: Backend = hostBackend()): T {
  const region = backend.openScope();
  try {
    const result = withinScope(region, fn);
    return mapTensors(result, (t) => {
      const buffer = region.release(t.buffer);
      return buffer === t.buffer ? t : new Tensor(buffer, t.shape, t.trace, t.origin);
    });
  } finally {
    region.close();
  }
}
