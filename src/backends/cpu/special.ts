/**
 * Functions that JavaScript's Math lacks, in float64. erf and erfc follow the rational approximations of W. J. Cody ("Rational Chebyshev
 * approximations for the error function", 1969) in the piecewise form and with the coefficients of FreeBSD's msun s_erf.c.
 */

/** Evaluates a polynomial, coefficients from the constant term upwards. */
function polynomial(x: number, coefficients: readonly number[]): number {
  let sum = 0;
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + coefficients[i]!;
  return sum;
}

interface Rational {
  readonly top: readonly number[];
  readonly bottom: readonly number[];
}

const ratio = (x: number, { top, bottom }: Rational): number => polynomial(x, top) / polynomial(x, bottom);

/** erf(x) / x - 1 in x^2, for |x| < 0.84375. */
const NEAR_ZERO: Rational = {
  top: [
    1.28379167095512558561e-1, -3.2504210724700149937e-1, -2.84817495755985104766e-2, -5.77027029648944159157e-3,
    -2.37630166566501626084e-5,
  ],
  bottom: [
    1, 3.97917223959155352819e-1, 6.50222499887672944485e-2, 5.08130628187576562776e-3, 1.32494738004321644526e-4,
    -3.9602282787753681232e-6,
  ],
};

/** erf(x) - ERF_ONE in |x| - 1, for |x| from 0.84375 to 1.25. */
const NEAR_ONE: Rational = {
  top: [
    -2.36211856075265944077e-3, 4.14856118683748331666e-1, -3.72207876035701323847e-1, 3.18346619901161753674e-1,
    -1.10894694282396677476e-1, 3.54783043256182359371e-2, -2.166375594868790843e-3,
  ],
  bottom: [
    1, 1.06420880400844228286e-1, 5.40397917702171048937e-1, 7.18286544141962662868e-2, 1.26171219808761642112e-1,
    1.36370839120290507362e-2, 1.1984499846799107417e-2,
  ],
};
const ERF_ONE = 8.45062911510467529297e-1;

/** log(x erfc(x)) + x^2 + 0.5625 in 1 / x^2, for x from 1.25 to 1 / 0.35. */
const MIDDLE: Rational = {
  top: [
    -9.86494403484714822705e-3, -6.93858572707181764372e-1, -1.05586262253232909814e1, -6.23753324503260060396e1,
    -1.62396669462573470355e2, -1.84605092906711035994e2, -8.12874355063065934246e1, -9.81432934416914548592,
  ],
  bottom: [
    1, 1.96512716674392571292e1, 1.376577541435190426e2, 4.34565877475229228821e2, 6.45387271733267880336e2,
    4.29008140027567833386e2, 1.08635005541779435134e2, 6.57024977031928170135, -6.04244152148580987438e-2,
  ],
};

/** The same from 1 / 0.35 to 28. */
const TAIL: Rational = {
  top: [
    -9.86494292470009928597e-3, -7.99283237680523006574e-1, -1.77579549177547519889e1, -1.60636384855821916062e2,
    -6.37566443368389627722e2, -1.02509513161107724954e3, -4.83519191608651397019e2,
  ],
  bottom: [
    1, 3.03380607434824582924e1, 3.25792512996573918826e2, 1.53672958608443695994e3, 3.19985821950859553908e3,
    2.55305040643316442583e3, 4.74528541206955367215e2, -2.24409524465858183362e1,
  ],
};

/** erfc for x >= 1.25. */
function upperTail(x: number): number {
  if (x > 28) return 0;
  const inverse = 1 / (x * x);
  // x^2 loses digits that the exponential would magnify: square a shortened x, which is exact, and add the remainder apart.
  const head = Math.floor(x * 4096) / 4096;
  return (
    (Math.exp(-head * head - 0.5625) *
      Math.exp((head - x) * (head + x) + ratio(inverse, x < 1 / 0.35 ? MIDDLE : TAIL))) /
    x
  );
}

/** The error function, to about 1e-16 relative. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 0.84375) return x + x * ratio(x * x, NEAR_ZERO);
  if (a < 1.25) return Math.sign(x) * (ERF_ONE + ratio(a - 1, NEAR_ONE));
  return Number.isNaN(x) ? NaN : Math.sign(x) * (1 - upperTail(a));
}

/** The complementary error function 1 - erf(x), with full relative accuracy where it is small. */
export function erfc(x: number): number {
  const a = Math.abs(x);
  if (a < 0.84375)
    return x < 0.25 ? 1 - (x + x * ratio(x * x, NEAR_ZERO)) : 0.5 - (x - 0.5 + x * ratio(x * x, NEAR_ZERO));
  if (a < 1.25) return x > 0 ? 1 - ERF_ONE - ratio(a - 1, NEAR_ONE) : 1 + (ERF_ONE + ratio(a - 1, NEAR_ONE));
  if (Number.isNaN(x)) return NaN;
  return x > 0 ? upperTail(a) : 2 - upperTail(a);
}

/** P(X <= x) for a standard normal X. */
export const normalCdf = (x: number): number => 0.5 * erfc(x * -Math.SQRT1_2);

/** x^y as IEEE 754 and NumPy have it: 1 to any power is 1, and so is -1 to an infinite one; ECMAScript makes both NaN. */
export function power(x: number, y: number): number {
  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : Math.pow(x, y);
}
