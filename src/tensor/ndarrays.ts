import type ndarray from 'ndarray';
import type * as ndarrayOps from 'ndarray-ops';
import { TapegradError } from '../errors.js';
import { assignElements, type Interchange, ndarrayOf } from './interchange.js';
import { requirePackage } from './require.js';

/**
 * Interchange by the ndarray packages, loaded when they are first wanted: together they would take as long as importing this library does. Both compile code
 * from text, which a page's content security policy may forbid: only Node's entries come here.
 */
export const ndarrays: Interchange = {
  wrap: (data, shape) => {
    make ??= loadMake();
    return make(data, [...shape]);
  },
  assign: (target, source) => {
    assign ??= loadAssign();
    assign(target, source);
  },
};

let make: typeof ndarray | undefined;
let assign: Interchange['assign'] | undefined;

/** Bundlers that follow the condition `module` take the package along (src/index.bundled.ts); what copies or bundles files in another way may leave it behind. */
function loadMake(): typeof ndarray {
  try {
    return requirePackage('ndarray') as typeof ndarray;
  } catch (cause) {
    throw new TapegradError(
      'ndarray',
      "the package ndarray cannot be loaded: install it beside the program, or have the bundler follow the condition 'module'",
      { cause },
    );
  }
}

/**
 * ndarray-ops compiles some hundred functions when it is loaded. Where a bundler has made one file of a program, it cannot be found; then the loop that browsers
 * have does the same.
 */
function loadAssign(): Interchange['assign'] {
  let ops: typeof ndarrayOps;
  try {
    ops = requirePackage('ndarray-ops') as typeof ndarrayOps;
  } catch {
    return assignElements;
  }
  return (target, source) => void ops.assign(ndarrayOf(target, source.shape), source);
}
