import type { Dispatch, Kernel } from '../kernel.js';
import { fillKernel, NUMBERS } from '../kernel.js';
import type { Plan } from './plan.js';

const params = { outer: 'u32', axis: 'u32', inner: 'u32', count: 'u32' } as const;

/** Lists of the positions that name each target, in an order that is chance. */
const listKernel: Kernel = {
  name: 'listPositions',
  family: 'gather',
  inputs: ['indices'],
  outputs: ['first', 'next'],
  types: { indices: ['int32'], first: ['int32'], next: ['int32'] },
  params,
};

/** Adds what is listed for each target, in the order of the positions. */
const addKernel: Kernel = {
  name: 'addListed',
  family: 'gather',
  inputs: ['x', 'indices', 'first', 'next'],
  outputs: ['out'],
  types: { x: [...NUMBERS, 'bool'], indices: ['int32'], first: ['int32'], next: ['int32'], out: 'x' },
  params: { ...params, oneList: 'u32' },
};

/** Positions of a row up to which a thread adds them one after the other, and rows that keep a GPU busy in this way. */
const FEW = 16;
const MANY_ROWS = 2 ** 15;

/**
 * out[o, indices[o, j, i], i] += x[o, j, i]: with a thread for each row, adding one after the other, most of a GPU has nothing to do and the rest waits for
 * its memory. Here a thread for each position enters it into the list of its target, and one for each target adds up its list: to the same bits, since it
 * does so in order. @param oneList whether all rows have the same indices
 */
const adjoint = (oneList: boolean): Plan => ({
  kernels: [fillKernel, listKernel, addKernel],
  run: (launch: Dispatch, call) => {
    const { outer, axis, inner, count } = launch.params as Readonly<Record<string, number>>;
    if (count! <= FEW || outer! * inner! >= MANY_ROWS) {
      call.launch(launch);
      return;
    }
    const [x, indices] = launch.inputs;
    const lists = oneList ? { outer: 1, axis: axis!, inner: 1, count: count! } : { ...launch.params };
    const targets = oneList ? axis! : outer! * axis! * inner!;
    const places = oneList ? count! : outer! * count! * inner!;
    const first = call.scratch('int32', targets);
    const next = call.scratch('int32', places);
    call.launch({
      kernel: fillKernel,
      inputs: [],
      outputs: [first],
      params: { size: targets, value: 0 },
      grid: targets,
    });
    call.launch({ kernel: listKernel, inputs: [indices!], outputs: [first, next], params: lists, grid: places });
    call.launch({
      kernel: addKernel,
      inputs: [x!, indices!, first, next],
      outputs: launch.outputs,
      params: { ...launch.params, oneList: Number(oneList) },
      grid: outer! * axis! * inner!,
    });
  },
});

export const positionPlans: Readonly<Record<string, Plan>> = {
  scatterAlongAxis: adjoint(false),
  takeAdjoint: adjoint(true),
};
