import {
  DTypeError,
  equal,
  greater,
  greaterEqual,
  isFinite,
  isNaN,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
  tensor,
} from 'tapegrad';
import { mapped, spread } from '../reference.js';
import { binaryInfo, bool, exactList, int, type OpInfo, unaryInfo } from './info.js';

/** Comparisons answer false beside NaN, but for "not equal". */
const comparison = (run: Parameters<typeof binaryInfo>[0], f: (a: number, b: number) => boolean): OpInfo =>
  binaryInfo(run, (a, b) => Number(f(a, b)), {
    result: 'bool',
    differentiable: false,
    edges: [
      [NaN, NaN],
      [NaN, 1],
      [1, NaN],
      [0, -0],
      [Infinity, Infinity],
      [-Infinity, Infinity],
      [1e-40, 0],
      [2, 2],
      [3, 2],
      [2, 3],
    ].map(([a, b]) => [[a!, b!], Number(f(Math.fround(a!), Math.fround(b!)))] as const),
    exact: [
      exactList(
        'int32 beside a fraction',
        () => run(int([1, 2, 3]), tensor(1.5)),
        'bool',
        [f(1, 1.5), f(2, 1.5), f(3, 1.5)].map(Number),
      ),
      exactList(
        'bool',
        () => run(bool(true, false, true), bool(true, true, false)),
        'bool',
        [f(1, 1), f(0, 1), f(1, 0)].map(Number),
      ),
      exactList(
        'large int32',
        () => run(int([2147483647, -2147483648]), int([2147483646, -2147483648])),
        'bool',
        [f(2147483647, 2147483646), f(-1, -1)].map(Number),
      ),
    ],
  });

export const comparisonInfo = {
  equal: comparison(equal, (a, b) => a === b),
  notEqual: comparison(notEqual, (a, b) => a !== b),
  less: comparison(less, (a, b) => a < b),
  lessEqual: comparison(lessEqual, (a, b) => a <= b),
  greater: comparison(greater, (a, b) => a > b),
  greaterEqual: comparison(greaterEqual, (a, b) => a >= b),
  isNaN: unaryInfo(isNaN, (x) => Number(Number.isNaN(x)), {
    result: 'bool',
    differentiable: false,
    exact: [exactList('int32', () => isNaN(int([0])), 'bool', [0])],
  }),
  isFinite: unaryInfo(isFinite, (x) => Number(Number.isFinite(x)), {
    result: 'bool',
    differentiable: false,
    exact: [exactList('int32', () => isFinite(int([7])), 'bool', [1])],
  }),
  logicalAnd: logic(logicalAnd, (a, b) => a && b),
  logicalOr: logic(logicalOr, (a, b) => a || b),
  logicalNot: {
    samples: [
      {
        name: 'of a comparison',
        inputs: [spread([9], -3, 3)],
        run: (x) => logicalNot(greater(x, 0)),
        want: mapped((x) => Number(!(x > 0))),
      },
    ],
    result: 'bool',
    differentiable: false,
    exact: [exactList('int32', () => logicalNot(int([0, 3])), 'bool', [1, 0])],
    errors: [
      {
        run: () => logicalNot(tensor([1.5])),
        error: DTypeError,
        message: '[logicalNot] operand 0 is float32; it must be bool or int32 (compare it: x.notEqual(0))',
      },
    ],
  },
} satisfies Record<string, OpInfo>;

function logic(run: typeof logicalAnd, f: (a: boolean, b: boolean) => boolean): OpInfo {
  const positive = mapped((a, b) => Number(f(a > 0, b > 0)));
  return {
    samples: [
      {
        name: 'broadcasting',
        inputs: [spread([3, 1], -3, 3), spread([5], -3, 3, 1)],
        run: (a, b) => run(greater(a, 0), greater(b, 0)),
        want: positive,
      },
      {
        name: '[1027]',
        inputs: [spread([1027], -3, 3), spread([1027], -3, 3, 1)],
        run: (a, b) => run(greater(a, 0), greater(b, 0)),
        want: positive,
      },
    ],
    result: 'bool',
    differentiable: false,
    exact: [
      exactList(
        'bool',
        () => run(bool(true, true, false, false), bool(true, false, true, false)),
        'bool',
        [f(true, true), f(true, false), f(false, true), f(false, false)].map(Number),
      ),
      exactList('int32', () => run(int([2, 0]), bool(true, true)), 'bool', [f(true, true), f(false, true)].map(Number)),
    ],
    errors: [
      {
        run: () => run(bool(true), tensor([0.5])),
        error: DTypeError,
        message: 'operand 1 is float32; it must be bool or int32',
      },
    ],
  };
}
