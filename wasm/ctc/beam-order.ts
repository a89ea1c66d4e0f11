/** Records of a float64 and 8 bytes more, in order. */

@inline function swap(x: usize, y: usize): void { const t = v128.load(x); v128.store(x, v128.load(y)); v128.store(y, t); }

/** Puts the `keep` greatest of `count` records (a float64 and 8 bytes more) first. */
export function select(base: usize, count: i32, keep: i32): void {
  let lo = 0, hi = count;
  while (hi - lo > 1) {
    const pivot = load<f64>(base + (<usize>((lo + hi) >> 1) << 4));
    let i = lo, j = hi - 1;
    while (i <= j) {
      while (load<f64>(base + (<usize>i << 4)) > pivot) i++;
      while (load<f64>(base + (<usize>j << 4)) < pivot) j--;
      if (i <= j) { swap(base + (<usize>i << 4), base + (<usize>j << 4)); i++; j--; }
    }
    if (keep <= j) hi = j + 1; else if (keep > i) lo = i; else return;
  }
}

/** Sorts records [lo, hi), the greatest first. */
export function sort(base: usize, lo: i32, hi: i32): void {
  while (hi - lo > 12) {
    const pivot = load<f64>(base + (<usize>((lo + hi) >> 1) << 4));
    let i = lo, j = hi - 1;
    while (i <= j) {
      while (load<f64>(base + (<usize>i << 4)) > pivot) i++;
      while (load<f64>(base + (<usize>j << 4)) < pivot) j--;
      if (i <= j) { swap(base + (<usize>i << 4), base + (<usize>j << 4)); i++; j--; }
    }
    if (j + 1 - lo < hi - i) { sort(base, lo, j + 1); lo = i; } else { sort(base, i, hi); hi = j + 1; }
  }
  for (let i = lo + 1; i < hi; i++) {
    const x = v128.load(base + (<usize>i << 4)), value = f64x2.extract_lane(x, 0);
    let j = i - 1;
    for (; j >= lo && load<f64>(base + (<usize>j << 4)) < value; j--) v128.store(base + (<usize>(j + 1) << 4), v128.load(base + (<usize>j << 4)));
    v128.store(base + (<usize>(j + 1) << 4), x);
  }
}

/** The same of records that are nearly in order: in one pass, unless that moves too many of them. */
export function settle(base: usize, count: i32): void {
  let moves = count << 4;
  for (let at = base + 16, end = base + (<usize>count << 4); at < end; at += 16) {
    const value = load<f64>(at);
    if (!(load<f64>(at - 16) < value)) continue;
    const x = v128.load(at);
    let to = at;
    for (; to > base && load<f64>(to - 16) < value; to -= 16) v128.store(to, v128.load(to - 16));
    v128.store(to, x);
    moves -= <i32>(at - to >> 4);
    if (moves < 0) { sort(base, 0, count); return; }
  }
}
