import type * as ops from '../src/ops/index.js';
import { activationInfo, arithmeticInfo, comparisonInfo, transcendentalInfo } from './ops/elementwise.js';
import type { OpInfo } from './ops/info.js';
import { movementInfo } from './ops/movement.js';
import { optimizerInfo } from './ops/optimizers.js';
import { indexingInfo, productInfo } from './ops/products.js';
import { reductionInfo } from './ops/reductions.js';

type FunctionName<M> = { [K in keyof M]: M[K] extends (...args: never[]) => unknown ? K : never }[keyof M];

/** Every op of the public surface, and the optimizers' fused steps. */
export type OpName = FunctionName<typeof ops> | keyof typeof optimizerInfo;

/** What the suites run over. An op that is exported without samples does not compile here. */
export const opInfo = {
  ...arithmeticInfo,
  ...transcendentalInfo,
  ...activationInfo,
  ...comparisonInfo,
  ...reductionInfo,
  ...movementInfo,
  ...productInfo,
  ...indexingInfo,
  ...optimizerInfo,
} satisfies Record<OpName, OpInfo>;
