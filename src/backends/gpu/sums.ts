import type { Dispatch, Kernel } from '../kernel.js';
import { NUMBERS } from '../kernel.js';
import { BUSY_GROUPS, GROUP_WIDTH } from './limits.js';
import type { Plan } from './plan.js';

const types = { x: NUMBERS, totals: NUMBERS, losses: 'totals', out: 'totals' };

/** Sums of parts of an axis, each with what rounding has lost of it. The axis as a whole is `whole` long, a part `axis`; `outer` counts parts, too. */
const partsKernel: Kernel = {
  name: 'partialSums',
  family: 'reduce',
  inputs: ['x'],
  outputs: ['totals', 'losses'],
  types: { ...types, totals: 'x' },
  params: { outer: 'u32', axis: 'u32', inner: 'u32', parts: 'u32', whole: 'u32' },
  layout: 'groups',
};

const ofPartsKernel: Kernel = {
  name: 'sumOfPartials',
  family: 'reduce',
  inputs: ['totals', 'losses'],
  outputs: ['out'],
  types,
  params: { outer: 'u32', axis: 'u32', inner: 'u32' },
  layout: 'groups',
};

/** What a thread adds up at least: less is not worth a second pass. */
const LEAST_OF_A_THREAD = 8;

/** The threads that share a row and the rows that share a group, as wgsl/rows.wgsl has them; Metal's need not be the same. */
function shareOf(axis: number, inner: number): { lanes: number; together: number } {
  let beside = 1;
  while (beside < 32 && beside < inner) beside *= 2;
  let lanes = 1;
  while (lanes * 2 <= GROUP_WIDTH / beside && lanes < axis) lanes *= 2;
  return { lanes, together: GROUP_WIDTH / lanes };
}

/** The number of parts that an axis is cut into, 1 for none. */
function partsOf(outer: number, axis: number, inner: number): number {
  const { lanes, together } = shareOf(axis, inner);
  const groups = Math.ceil((outer * inner) / together);
  return Math.max(1, Math.floor(Math.min(BUSY_GROUPS / groups, axis / (lanes * LEAST_OF_A_THREAD))));
}

/** Sums of a few long rows, as of a bias's gradient, would keep a few groups busy for long: the parts of a row are summed first. */
const sum: Plan = {
  kernels: [partsKernel, ofPartsKernel],
  run: (launch: Dispatch, call) => {
    const { outer, axis, inner } = launch.params as Readonly<Record<string, number>>;
    const wanted = partsOf(outer!, axis!, inner!);
    if (wanted === 1) {
      call.launch(launch);
      return;
    }
    const length = Math.ceil(axis! / wanted);
    const parts = Math.ceil(axis! / length);
    const rows = outer! * parts * inner!;
    const { dtype } = launch.outputs[0]!;
    const sums = [call.scratch(dtype, rows), call.scratch(dtype, rows)];
    call.launch({
      kernel: partsKernel,
      inputs: launch.inputs,
      outputs: sums,
      params: { outer: outer! * parts, axis: length, inner: inner!, parts, whole: axis! },
      grid: Math.ceil(rows / shareOf(length, inner!).together),
    });
    call.launch({
      kernel: ofPartsKernel,
      inputs: sums,
      outputs: launch.outputs,
      params: { outer: outer!, axis: parts, inner: inner! },
      grid: launch.grid,
    });
  },
};

export const sumPlans: Readonly<Record<string, Plan>> = { sum };
