/**
 * How sure a reading's labels and words are: the share of all readings in the beam, by their probabilities, that have them as well. Readings are
 * laid beside each other by their longest common subsequence (E. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986).
 */

export interface Rival {
  readonly labels: ArrayLike<number>;
  /** Its share of what the beam holds. */
  readonly share: number;
}

/** Where each label of `a` stands in `b`; -1 for those that have no place there. */
function matches(a: ArrayLike<number>, b: ArrayLike<number>): Int32Array {
  const places = new Int32Array(a.length).fill(-1);
  let start = 0;
  let [endA, endB] = [a.length, b.length];
  while (start < endA && start < endB && a[start] === b[start]) {
    places[start] = start;
    start++;
  }
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) places[--endA] = --endB;
  const [n, m] = [endA - start, endB - start];
  if (n === 0 || m === 0) return places;
  // furthest[d][k + d]: how far into `a` d insertions and deletions come on diagonal k.
  const rounds: Int32Array[] = [];
  for (let d = 0; d <= n + m; d++) {
    const before = rounds[d - 1];
    const furthest = new Int32Array(2 * d + 1);
    rounds.push(furthest);
    for (let k = -d; k <= d; k += 2) {
      let x = before ? stepInto(before, d, k).x : 0;
      while (x < n && x - k < m && x - k >= 0 && a[start + x] === b[start + x - k]) x++;
      furthest[k + d] = x;
      if (x >= n && x - k >= m) {
        trace(rounds, n, m, start, places);
        return places;
      }
    }
  }
  return places;
}

/** Whether round d comes to diagonal k by an insertion, and where. */
function stepInto(before: Int32Array, d: number, k: number): { inserted: boolean; x: number } {
  const at = (j: number): number => (Math.abs(j) > d - 1 ? -1 : before[j + d - 1]!);
  const inserted = k === -d || (k !== d && at(k - 1) < at(k + 1));
  return { inserted, x: inserted ? at(k + 1) : at(k - 1) + 1 };
}

function trace(rounds: readonly Int32Array[], n: number, m: number, start: number, places: Int32Array): void {
  let [x, y] = [n, m];
  for (let d = rounds.length - 1; d >= 0; d--) {
    const k = x - y;
    const from = d > 0 ? stepInto(rounds[d - 1]!, d, k) : { inserted: true, x: 0 };
    for (; x > from.x; x--, y--) places[start + x - 1] = start + y - 1;
    if (d === 0) return;
    y = x - k;
    if (from.inserted) y--;
    else x--;
  }
}

/** For each label, the share of the rivals that have it; `labels` is one of them. */
export function labelConfidences(labels: ArrayLike<number>, rivals: readonly Rival[]): number[] {
  const sums = new Float64Array(labels.length);
  for (const rival of rivals) matches(labels, rival.labels).forEach((at, i) => (sums[i]! += at < 0 ? 0 : rival.share));
  return Array.from(sums, (sum) => Math.min(1, sum));
}

/** For each word, the labels [first, last), the share of the rivals that have the whole of it, and nothing else, between two separators. */
export function wordConfidences(
  labels: ArrayLike<number>,
  words: readonly { readonly first: number; readonly last: number }[],
  separator: number,
  rivals: readonly Rival[],
): number[] {
  const sums = words.map(() => 0);
  for (const { labels: other, share } of rivals) {
    const places = matches(labels, other);
    const isEdge = (at: number): boolean => at < 0 || at >= other.length || other[at] === separator;
    words.forEach(({ first, last }, w) => {
      const at = places[first]!;
      let same = at >= 0 && isEdge(at - 1) && isEdge(at + last - first);
      for (let i = first; same && i < last; i++) same = other[at + i - first] === labels[i];
      if (same) sums[w]! += share;
    });
  }
  return sums.map((sum) => Math.min(1, sum));
}
