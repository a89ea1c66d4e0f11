/**
 * out[m, n] = op(a) op(b), or += where `accumulate`, of row-major matrices at addresses of the heap, computed by something from outside: what useBlas()
 * has put in place of the matrix kernels. A transposed operand is stored as [k, m] or [n, k].
 */
export type OutsideProduct = (
  dtype: ProductType,
  a: number,
  b: number,
  out: number,
  sizes: { readonly m: number; readonly n: number; readonly k: number },
  how: { readonly transA: boolean; readonly transB: boolean; readonly accumulate: boolean },
) => void;

export type ProductType = 'float32' | 'float64';

let current: OutsideProduct | null = null;

export const outsideProduct = (): OutsideProduct | null => current;

export function setOutsideProduct(product: OutsideProduct | null): void {
  current = product;
}

/** Multiplications from which on a product from outside, whose call takes 0.3 us, is quicker than the WebAssembly. */
export const WORTH_LEAVING: Readonly<Record<ProductType, number>> = { float32: 2 ** 13, float64: 2 ** 12 };
