import { checkFunction, isPromise } from './arguments.js';
import { currentRegion, leaveOpen, withinRegion } from './device.js';
import { Region } from './region.js';
import { eachTensor } from './tree.js';

/**
 * Runs a function and recycles all that it computed, gradients included, except the tensors it returns (in any tree). On the CPU
 * this is a matter of speed, not of need: inside, results stay where the kernels work instead of moving to garbage-collected memory after
 * each op. On a GPU it frees intermediate results at once. While a transform's function runs, a scope shares that transform's memory: what is
 * computed may be wanted by the backward pass, and is recycled with the rest.
 *
 * ```ts
 * ({ params, state } = scope(() => optimizer.update(params, grad(lossOf)(params), state)));
 * ```
 * An asynchronous function gives a promise, and its scope ends when that settles. Nothing tells what runs after an `await`, so from then on only what is
 * computed of the scope's own tensors belongs to it; other results are garbage-collected as outside.
 *
 * ```ts
 * const text = await scope(async () => {
 *   const logits = model.apply(params, x);
 *   const [best] = await Promise.all([logits.argmax(-1).array(), gpu.sync()]);
 *   return decode(best);
 * });
 * ```
 */
export function scope<T>(fn: () => T): T {
  checkFunction('scope', 'fn', fn);
  const around = currentRegion();
  if (around?.isShared) return fn();
  const region = new Region(false);
  const keep = <R>(result: R): R => {
    eachTensor(result, (t) => {
      region.release(t.buffer, around);
    });
    return result;
  };
  let isPending = false;
  try {
    const result = withinRegion(region, fn);
    if (!isPromise(result)) return keep(result);
    isPending = true;
    return leaveOpen(region, Promise.resolve(result).then(keep)) as T;
  } finally {
    if (!isPending) region.close();
  }
}
