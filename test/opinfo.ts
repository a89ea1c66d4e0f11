import type * as ops from '../src/ops/index.js';
import { arithmeticInfo } from './ops/arithmetic.js';
import { attentionInfo } from './ops/attention.js';
import { comparisonInfo } from './ops/comparisons.js';
import { convolutionInfo } from './ops/convolutions.js';
import { activationInfo, transcendentalInfo } from './ops/elementwise.js';
import { indexingInfo } from './ops/indexing.js';
import type { OpInfo } from './ops/info.js';
import { joiningInfo } from './ops/joining.js';
import { lossInfo } from './ops/losses.js';
import { momentInfo } from './ops/moments.js';
import { movementInfo } from './ops/movement.js';
import { normInfo } from './ops/norms.js';
import { optimizerInfo } from './ops/optimizers.js';
import { poolInfo } from './ops/pools.js';
import { productInfo } from './ops/products.js';
import { recurrentInfo } from './ops/recurrent.js';
import { reductionInfo } from './ops/reductions.js';
import { rowInfo } from './ops/rows.js';
import { contractionInfo } from './ops/contractions.js';
import { repeatingInfo } from './ops/repeating.js';
import { scanInfo } from './ops/scans.js';
import { sortingInfo } from './ops/sorting.js';
import { spectrumInfo } from './ops/spectra.js';
import { windowInfo } from './ops/windows.js';

type FunctionName<M> = { [K in keyof M]: M[K] extends (...args: never[]) => unknown ? K : never }[keyof M];

/** Every op of the public surface, the optimizers' fused steps, and what recurrent layers are made of. */
export type OpName = FunctionName<typeof ops> | keyof typeof optimizerInfo | keyof typeof recurrentInfo;

/** What the suites run over. An op that is exported without samples does not compile here. */
export const opInfo = {
  ...arithmeticInfo,
  ...transcendentalInfo,
  ...activationInfo,
  ...comparisonInfo,
  ...reductionInfo,
  ...momentInfo,
  ...rowInfo,
  ...normInfo,
  ...attentionInfo,
  ...lossInfo,
  ...movementInfo,
  ...joiningInfo,
  ...productInfo,
  ...convolutionInfo,
  ...contractionInfo,
  ...repeatingInfo,
  ...scanInfo,
  ...sortingInfo,
  ...spectrumInfo,
  ...windowInfo,
  ...poolInfo,
  ...indexingInfo,
  ...optimizerInfo,
  ...recurrentInfo,
} satisfies Record<OpName, OpInfo>;
