import { GradientError } from '../errors.js';
import { checkFunction, isPromise, onBehalfOf } from '../tensor/arguments.js';
import { redrawing, withDraws } from '../tensor/random.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import { Tensor, type Trace } from '../tensor/tensor.js';
import { replaceTensors, tensorsOf } from '../tensor/tree.js';
import type { Spec } from './op.js';
import { recordingTapes, Segment, Tape } from './tape.js';
import { regionFor } from './trace.js';

/**
 * The same function, of which a transform keeps nothing but arguments and results: the backward pass computes it again to differentiate it (Chen et al.,
 * arXiv:1604.06174). Memory for time: a chain of n blocks, each in a checkpoint, needs the memory of one block and of n results, for one more forward
 * pass. Outside transforms it is the function itself.
 *
 * ```ts
 * const block = checkpoint((p: Params, x: Tensor) => layer.apply(p, x, { random }));
 * const loss = (params: Params[]) => params.reduce((y, p) => block(p, y), x).square().mean();
 * ```
 * Arguments and results are trees, tensors from around the function may be used in it as well, and derivatives of any order are those of the function.
 * Random numbers of a `Random` are the same again, wherever the function has it from; whatever else it does must be repeatable too.
 *
 * @throws {GradientError} for an asynchronous function. In the backward pass: where the function gives results of other shapes when it is computed again,
 *   and where a tensor of its inside was used outside without being returned.
 */
export function checkpoint<F extends (...args: Tensor[]) => unknown>(fn: F): (...args: Parameters<F>) => ReturnType<F>;
export function checkpoint<Args extends unknown[], Result>(fn: (...args: Args) => Result): (...args: Args) => Result;
export function checkpoint<Args extends unknown[], Result>(fn: (...args: Args) => Result): (...args: Args) => Result {
  checkFunction('checkpoint', 'fn', fn);
  return (...args) => {
    const region = regionFor(tensorsIn('the arguments', args));
    const run = (): Result => refusePromise(fn(...args));
    if (!region?.isShared) return run(); // no transform does
    let traced: readonly (readonly [at: number, tapes: readonly Tape[]])[] = [];
    const [[result, draws], made] = Tape.forgetting(
      region,
      () => withDraws(run),
      ([value]) => {
        const outputs = tensorsIn('the result', value);
        traced = outputs
          .map((output, at) => [at, recordingTapes([output])] as const)
          .filter(([, tapes]) => tapes.length > 0);
        return traced.length > 0 ? outputs : null;
      },
    );
    if (traced.length === 0) return result;
    const outputs = tensorsOf(result);
    const specs = traced.map(([at]) => ({ shape: outputs[at]!.shape, dtype: outputs[at]!.dtype }));
    const again = (): readonly Tensor[] => {
      const found = tensorsIn('the result', redrawing(draws, run));
      return traced.map(([at], i) => checkRepeated(found[at], specs[i]!));
    };
    const segment = new Segment(again, specs, made);
    const traces: (Trace | null)[] = traced.map(() => null);
    for (const tape of new Set(traced.flatMap(([, tapes]) => tapes))) {
      const first = tape.addSegment(segment);
      traced.forEach(([, tapes], i) => {
        if (tapes.includes(tape)) traces[i] = { tape, id: first + i, next: traces[i]! };
      });
    }
    const places = new Map(traced.map(([at], i) => [at, traces[i]!]));
    let at = 0;
    return replaceTensors(result, (t) => {
      const trace = places.get(at++);
      return trace ? new Tensor(t.buffer, t.shape, trace, 'checkpoint') : t;
    });
  };
}

const tensorsIn = (what: string, tree: unknown): Tensor[] => onBehalfOf('checkpoint', what, () => tensorsOf(tree));

function refusePromise<T>(result: T): T {
  if (!isPromise(result)) return result;
  Promise.resolve(result).catch(() => undefined); // what it throws now would only repeat this
  throw new GradientError(
    'checkpoint',
    'the function is asynchronous, and a backward pass cannot wait for it; await first, and compute inside',
  );
}

function checkRepeated(found: Tensor | undefined, { shape, dtype }: Spec): Tensor {
  if (found?.dtype !== dtype || !sameShape(found.shape, shape))
    throw new GradientError(
      'checkpoint',
      `computed again, the function gave ${found ? found.dtype + formatShape(found.shape) : 'fewer tensors'} where it gave ${dtype}${formatShape(shape)}; it must do the same every time`,
    );
  return found;
}
