import { erf, erfc, power } from '../../src/backends/cpu/special.js';

/** x, erf(x), erfc(x), computed with 30 digits. */
const REFERENCE: readonly (readonly [number, number, number])[] = [
  [0.1, 0.1124629160182848984, 0.8875370839817151016],
  [0.5, 0.52049987781304653768, 0.47950012218695346232],
  [0.9, 0.79690821242283213966, 0.20309178757716786034],
  [1.1, 0.88020506957408172966, 0.11979493042591827034],
  [-1.7, -0.98379045859077456084, 1.9837904585907745608],
  [2.5, 0.99959304798255504106, 0.00040695201744495893956],
  [3.3, 0.99999694229020356183, 3.0577097964381651988e-6],
  [5.5, 0.99999999999999264215, 7.3578479179743980631e-15],
  [10, 1, 2.088487583762544757e-45],
  [25, 1, 8.300172571196522752e-274],
];

describe('special functions in float64', () => {
  test.each(REFERENCE)('erf and erfc of %d', (x, expected, complement) => {
    expect(Math.abs(erf(x) - expected)).toBeLessThanOrEqual(4e-16 * Math.abs(expected));
    expect(Math.abs(erfc(x) - complement)).toBeLessThanOrEqual(8e-16 * complement);
  });

  test('ends and signs', () => {
    expect([erf(Infinity), erf(-Infinity), erf(NaN), erf(-0)]).toEqual([1, -1, NaN, -0]);
    expect([erfc(Infinity), erfc(-Infinity), erfc(NaN), erfc(0)]).toEqual([0, 2, NaN, 1]);
  });

  test('power follows IEEE 754 where ECMAScript does not', () => {
    expect([power(1, NaN), power(1, Infinity), power(-1, -Infinity), power(NaN, 0), power(-8, 3), power(-8, 0.5), power(0, -1)]).toEqual([1, 1, 1, 1, -512, NaN, Infinity]);
  });
});
