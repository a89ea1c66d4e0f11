// Elementary functions on two float64 lanes.

/** Mask of the lanes that are NaN. */
@inline export function isnan(x: v128): v128 {
  return f64x2.ne(x, x);
}

/** Mask of the lanes that are neither NaN nor infinite. */
@inline export function isfinite(x: v128): v128 {
  return f64x2.lt(f64x2.abs(x), f64x2.splat(Infinity));
}
