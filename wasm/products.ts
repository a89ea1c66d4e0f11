// Products along the middle axis of x[outer, axis, inner]. Those of floats are float64 with their power of two apart, so that no product on the way leaves the
// range, and are rounded once at the end; int32 wraps around.
import { bytes, lanes, pairAt, storeVector, vectorAt } from "./vectors";

/** Columns at a time: their products, and behind them the powers of two, wait in the scratch memory while rows are read from end to end. */
const COLUMNS: i32 = 512;

/** A row is taken as a matrix of this many columns. */
const WIDTH: i32 = 8;

/** Between these a product may be multiplied by four float32, or by four of float64 that are MODERATE, before its power of two must be taken out. */
const LEAST: f64 = 3.872591914849318e-121; // 2^-400
const MOST: f64 = 3.273390607896142e150; // 2^500
/** Every float32 but 0 is; of float64 what is not is multiplied without its power of two. */
const LEAST_MODERATE: f64 = 7.006492321624085e-46; // 2^-150
const MOST_MODERATE: f64 = 1.4272476927059599e45; // 2^150

@inline function areModerate(a: v128, b: v128, c: v128, d: v128): bool {
  a = f64x2.abs(a); b = f64x2.abs(b); c = f64x2.abs(c); d = f64x2.abs(d);
  const least = f64x2.pmin(f64x2.pmin(a, b), f64x2.pmin(c, d)), most = f64x2.pmax(f64x2.pmax(a, b), f64x2.pmax(c, d));
  return i64x2.all_true(v128.and(f64x2.ge(least, f64x2.splat(LEAST_MODERATE)), f64x2.le(most, f64x2.splat(MOST_MODERATE))));
}

/** The power of two in a normal number, and what is left without it, from 1 to 2. */
@inline function powerIn(v: f64): i32 {
  return (<i32>(reinterpret<u64>(v) >> 52) & 0x7ff) - 1023;
}

@inline function withoutPower(v: f64): f64 {
  return reinterpret<f64>((reinterpret<u64>(v) & 0x800fffffffffffff) | 0x3ff0000000000000);
}

/** Takes the power of two out of a product, unless it is 0, infinite or NaN. */
function normalise(product: usize, power: usize): void {
  const value = load<f64>(product);
  if (value == 0 || value - value != 0) return;
  store<i32>(power, load<i32>(power) + powerIn(value));
  store<f64>(product, withoutPower(value));
}

function multiplyBy(value: f64, product: usize, power: usize): void {
  const size = abs(value);
  if (!(size >= LEAST_MODERATE && size <= MOST_MODERATE) && value - value == 0 && value != 0) {
    let shift = 0;
    if (size < f64.MIN_NORMAL_VALUE) {
      value *= 18014398509481984; // 2^54
      shift = -54;
    }
    store<i32>(power, load<i32>(power) + powerIn(value) + shift);
    value = withoutPower(value);
  }
  const next = load<f64>(product) * value;
  store<f64>(product, next);
  if (!(abs(next) >= LEAST && abs(next) <= MOST)) normalise(product, power);
}

@inline function pairOf<T>(x: usize): v128 {
  return sizeof<T>() == 8 ? v128.load(x) : pairAt(x);
}

/** Where the powers of the products lie. */
@inline function powersOf(products: usize): usize {
  return products + bytes<f64>(COLUMNS);
}

function multiplyPair<T>(x: usize, products: usize, powers: usize): void {
  multiplyBy(<f64>load<T>(x), products, powers);
  multiplyBy(<f64>load<T>(x + sizeof<T>()), products + 8, powers + 4);
}

/** Multiplies n products by the elements of as many columns, in one row or, where `four`, in four. */
@inline function multiplyRow<T>(x: usize, products: usize, stride: usize, n: i32, four: bool): void {
  const rows = four ? 4 : 1;
  let least = f64x2.splat(1), most = least, left = n;
  let product = products, power = powersOf(products);
  for (; left >= 2; left -= 2, x += 2 * sizeof<T>(), product += 16, power += 8) {
    const a = pairOf<T>(x), b = four ? pairOf<T>(x + stride) : a, c = four ? pairOf<T>(x + 2 * stride) : a, d = four ? pairOf<T>(x + 3 * stride) : a;
    if (sizeof<T>() == 8 && !areModerate(a, b, c, d)) {
      for (let row = 0, from = x; row < rows; row++, from += stride) multiplyPair<T>(from, product, power);
      continue;
    }
    const next = f64x2.mul(v128.load(product), four ? f64x2.mul(f64x2.mul(a, b), f64x2.mul(c, d)) : a), size = f64x2.abs(next);
    v128.store(product, next);
    least = f64x2.pmin(least, size); // of NaN, which stays NaN, neither knows
    most = f64x2.pmax(most, size);
  }
  if (left > 0) for (let row = 0; row < rows; row++, x += stride) multiplyBy(<f64>load<T>(x), product, power);
  if (!i64x2.all_true(v128.and(f64x2.ge(least, f64x2.splat(LEAST)), f64x2.le(most, f64x2.splat(MOST))))) {
    power = powersOf(products);
    for (let i = 0; i < n; i++) normalise(products + bytes<f64>(i), power + bytes<i32>(i));
  }
}

/** The products of n columns of `axis` rows. */
function productsOfRows<T>(x: usize, products: usize, axis: i32, stride: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f64>(products + bytes<f64>(i), 1);
  memory.fill(powersOf(products), 0, bytes<i32>(n));
  let i = 0;
  for (; i + 4 <= axis; i += 4, x += 4 * stride) multiplyRow<T>(x, products, stride, n, true);
  for (; i < axis; i++, x += stride) multiplyRow<T>(x, products, stride, n, false);
}

/** Four rows of two columns, multiplied. */
@inline function fourOf(x: usize): v128 {
  return f64x2.mul(f64x2.mul(pairAt(x), pairAt(x + 32)), f64x2.mul(pairAt(x + 64), pairAt(x + 96)));
}

@inline function storeProducts(products: usize, p0: v128, p1: v128, p2: v128, p3: v128): void {
  v128.store(products, p0);
  v128.store(products, p1, 16);
  v128.store(products, p2, 32);
  v128.store(products, p3, 48);
}

/** The same as `productsOfRows`, of 8 columns of float32 side by side in all of n elements: their products stay in registers. @returns the elements read */
function productsOfRun(x: usize, products: usize, n: i32): i32 {
  let p0 = f64x2.splat(1), p1 = p0, p2 = p0, p3 = p0;
  const end = n & ~31, powers = powersOf(products);
  for (let i = 0; i < end; i += 32, x += 128) {
    p0 = f64x2.mul(p0, fourOf(x));
    p1 = f64x2.mul(p1, fourOf(x + 8));
    p2 = f64x2.mul(p2, fourOf(x + 16));
    p3 = f64x2.mul(p3, fourOf(x + 24));
    const a = f64x2.abs(p0), b = f64x2.abs(p1), c = f64x2.abs(p2), d = f64x2.abs(p3);
    const least = f64x2.pmin(f64x2.pmin(a, b), f64x2.pmin(c, d)), most = f64x2.pmax(f64x2.pmax(a, b), f64x2.pmax(c, d));
    if (i64x2.all_true(v128.and(f64x2.ge(least, f64x2.splat(LEAST)), f64x2.le(most, f64x2.splat(MOST))))) continue;
    storeProducts(products, p0, p1, p2, p3);
    for (let k = 0; k < WIDTH; k++) normalise(products + bytes<f64>(k), powers + bytes<i32>(k));
    p0 = v128.load(products);
    p1 = v128.load(products, 16);
    p2 = v128.load(products, 32);
    p3 = v128.load(products, 48);
  }
  storeProducts(products, p0, p1, p2, p3);
  return end;
}

/** The product of n elements side by side, as the first of the products. */
@inline function productOfRun<T>(x: usize, products: usize, n: i32): void {
  const powers = powersOf(products);
  let i = 0;
  if (sizeof<T>() == 8) {
    i = n & ~(WIDTH - 1);
    productsOfRows<T>(x, products, i / WIDTH, bytes<T>(WIDTH), WIDTH);
  } else {
    productsOfRows<T>(x, products, 0, 0, WIDTH);
    i = productsOfRun(x, products, n);
  }
  x += bytes<T>(i);
  for (; i < n; i++, x += sizeof<T>()) multiplyBy(<f64>load<T>(x), products + bytes<f64>(i % WIDTH), powers + bytes<i32>(i % WIDTH));
  normalise(products, powers);
  for (i = 1; i < WIDTH; i++) { // eight numbers below 2
    const other = products + bytes<f64>(i), power = powers + bytes<i32>(i);
    normalise(other, power);
    store<f64>(products, load<f64>(products) * load<f64>(other));
    store<i32>(powers, load<i32>(powers) + load<i32>(power));
  }
}

/** Products of floats along the middle axis. */
@inline export function productsAlong<T>(x: usize, out: usize, scratch: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const stride = bytes<T>(inner);
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    for (let c = 0; c < columns; c += COLUMNS) {
      const n = min(COLUMNS, columns - c);
      if (inner == 1) productOfRun<T>(x, scratch, axis);
      else productsOfRows<T>(x + bytes<T>(c), scratch, axis, stride, n);
      for (let i = 0; i < n; i++)
        store<T>(out + bytes<T>(c + i), <T>NativeMath.scalbn(load<f64>(scratch + bytes<f64>(i)), load<i32>(powersOf(scratch) + bytes<i32>(i))));
    }
  }
}

function productOfIntegers(x: usize, n: i32): i32 {
  let p0 = i32x4.splat(1), p1 = p0;
  for (; n >= 8; n -= 8, x += 32) {
    p0 = i32x4.mul(p0, v128.load(x));
    p1 = i32x4.mul(p1, v128.load(x, 16));
  }
  p0 = i32x4.mul(p0, p1);
  p0 = i32x4.mul(p0, v128.shuffle<i32>(p0, p0, 2, 3, 0, 1));
  let product = i32x4.extract_lane(p0, 0) * i32x4.extract_lane(p0, 1);
  for (; n > 0; n--, x += 4) product *= load<i32>(x);
  return product;
}

function productsOfIntegerRows(x: usize, out: usize, axis: i32, stride: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<i32>(out + bytes<i32>(i), 1);
  for (let i = 0; i < axis; i++, x += stride) {
    for (let at: usize = 0, left = n; left > 0; at += 16, left -= lanes<i32>())
      storeVector<i32>(out + at, i32x4.mul(vectorAt<i32>(out + at, left), vectorAt<i32>(x + at, left)), left);
  }
}

/** Products of int32 along the middle axis. */
@inline export function integerProductsAlong(x: usize, out: usize, outer: i32, axis: i32, inner: i32, columns: i32): void {
  const stride = bytes<i32>(inner);
  for (let o = 0; o < outer; o++, x += <usize>axis * stride, out += stride) {
    if (inner == 1) store<i32>(out, productOfIntegers(x, axis));
    else for (let c = 0; c < columns; c += COLUMNS)
      productsOfIntegerRows(x + bytes<i32>(c), out + bytes<i32>(c), axis, stride, min(COLUMNS, columns - c));
  }
}
