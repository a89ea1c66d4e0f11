import { checkFunction } from './arguments.js';
import { ValueError } from '../errors.js';
import { currentRegion, withinRegion } from './device.js';
import { Region } from './region.js';
import { replaceTensors } from './tree.js';

/**
 * Runs a synchronous function and recycles all that it computed, gradients included, except the tensors it returns (in any tree). On the CPU
 * this is a matter of speed, not of need: inside, results stay where the kernels work instead of moving to garbage-collected memory after
 * each op. On a GPU it frees intermediate results at once. While a transform's function runs, a scope shares that transform's memory: what is
 * computed may be wanted by the backward pass, and is recycled with the rest.
 *
 * ```ts
 * ({ params, state } = scope(() => optimizer.update(params, grad(lossOf)(params), state)));
 * ```
 * @throws {ValueError} for an asynchronous function: its memory would be recycled while it still runs.
 */
export function scope<T>(fn: () => T): T {
  checkFunction('scope', 'fn', fn);
  const around = currentRegion();
  if (around?.isShared) return refusePromise(fn());
  const region = new Region(false);
  try {
    return replaceTensors(refusePromise(withinRegion(region, fn)), (t) => {
      region.release(t.buffer, around);
      return t;
    });
  } finally {
    region.close();
  }
}

function refusePromise<T>(result: T): T {
  if (!(result instanceof Promise)) return result;
  result.catch(() => undefined); // what it throws now would only repeat this
  throw new ValueError(
    'scope',
    'the function is asynchronous, and what it computed would be recycled while it still runs; await first, and compute inside',
  );
}
