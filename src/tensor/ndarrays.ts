import ndarray from 'ndarray';
import type * as ndarrayOps from 'ndarray-ops';
import { assignElements, type Interchange } from './interchange.js';
import { requirePackage } from './require.js';

/**
 * Interchange by the ndarray packages. Both compile code from text, which a page's content security policy may forbid: only Node's entry comes here.
 */
export const ndarrays: Interchange = {
  wrap: (data, shape) => ndarray(data, [...shape]),
  assign: (target, source) => {
    assign ??= loadAssign();
    assign(target, source);
  },
};

let assign: Interchange['assign'] | undefined;

/**
 * ndarray-ops compiles some hundred functions when it is loaded, a third of the time that importing this library would take: it is loaded with the first
 * ndarray that goes in. Where a bundler has made one file of a program, it cannot be found; then the loop that browsers have does the same.
 */
function loadAssign(): Interchange['assign'] {
  let ops: typeof ndarrayOps;
  try {
    ops = requirePackage('ndarray-ops') as typeof ndarrayOps;
  } catch {
    return assignElements;
  }
  return (target, source) => void ops.assign(ndarray(target, [...source.shape]), source);
}
