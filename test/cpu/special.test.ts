import { erf, erfc, power } from '../../src/backends/cpu/special.js';

/** x, erf(x), erfc(x), computed with 30 digits and rounded to float64. */
const REFERENCE: readonly (readonly [number, number, number])[] = [
  [0.1, 0.1124629160182849, 0.887537083981715],
  [0.5, 0.5204998778130465, 0.4795001221869535],
  [0.9, 0.7969082124228322, 0.20309178757716786],
  [1.1, 0.8802050695740817, 0.11979493042591827],
  [-1.7, -0.9837904585907745, 1.9837904585907746],
  [2.5, 0.999593047982555, 0.0004069520174449589],
  [3.3, 0.9999969422902035, 3.0577097964381654e-6],
  [5.5, 0.9999999999999927, 7.357847917974398e-15],
  [10, 1, 2.088487583762545e-45],
  [25, 1, 8.300172571196523e-274],
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
    expect([
      power(1, NaN),
      power(1, Infinity),
      power(-1, -Infinity),
      power(NaN, 0),
      power(-8, 3),
      power(-8, 0.5),
      power(0, -1),
    ]).toEqual([1, 1, 1, 1, -512, NaN, Infinity]);
  });
});
