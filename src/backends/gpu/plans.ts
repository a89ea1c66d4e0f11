import { ctcPlans } from './ctc.js';
import { matmulPlans } from './matmul.js';
import type { Plan } from './plan.js';
import { positionPlans } from './positions.js';
import { recurrentPlans } from './recurrent.js';
import { sumPlans } from './sums.js';

/** The kernels that GPUs answer by a plan. */
export const plans: Readonly<Record<string, Plan>> = {
  ...ctcPlans,
  ...matmulPlans,
  ...positionPlans,
  ...recurrentPlans,
  ...sumPlans,
};
