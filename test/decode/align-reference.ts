/** Alignment by the book, for comparison: every path enumerated, and the whole lattice with back-pointers. */

/** A row of scores a frame. */
export type Rows = readonly (readonly number[])[];

export interface Problem {
  readonly scores: Rows;
  readonly target: readonly number[];
  readonly blank: number;
  /** A label that every frame emits at `wildcardCost`. */
  readonly wildcard: number | null;
  readonly wildcardCost: number;
  /** What frames outside cost; null where the end is not free. */
  readonly opening: number | null;
  readonly closing: number | null;
}

export const ON_BLANK = -1;
export const OUTSIDE = -2;

const costOf = (p: Problem, t: number, label: number): number =>
  label === p.wildcard ? p.wildcardCost : p.scores[t]![label]!;

/**
 * The score of a path as `Alignment.path` writes them, or null if it does not spell the target: blanks anywhere, every label once in a run,
 * equal neighbours apart, frames outside only at free ends.
 */
export function scoreOf(p: Problem, path: ArrayLike<number>): number | null {
  const frames = p.scores.length;
  let sum = 0;
  let next = 0;
  let before = ON_BLANK;
  let [begin, end] = [0, frames];
  if (p.opening !== null) while (begin < frames && path[begin] === OUTSIDE) begin++;
  if (p.closing !== null) while (end > begin && path[end - 1] === OUTSIDE) end--;
  if (path.length !== frames) return null;
  // Where there is nothing but frames outside, they are of either end.
  if (begin === frames && frames > 0 && p.target.length === 0)
    return frames * Math.max(p.opening!, p.closing ?? -Infinity);
  for (let t = 0; t < frames; t++) {
    const index = path[t]!;
    if (t < begin) sum += p.opening!;
    else if (t >= end) sum += p.closing!;
    else if (index === ON_BLANK) sum += p.scores[t]![p.blank]!;
    else if (index === OUTSIDE) return null;
    else {
      const label = p.target[index]!;
      if (index !== before) {
        if (index !== next) return null;
        next++;
        const equal = before >= 0 && p.target[before] === label && label !== p.wildcard;
        if (equal) return null;
      }
      sum += costOf(p, t, label);
    }
    before = index;
  }
  return next === p.target.length ? sum : null;
}

/** Every path that spells the target, with its score. */
export function* allPaths(p: Problem): Generator<[path: number[], score: number]> {
  const frames = p.scores.length;
  const symbols = [ON_BLANK, ...p.target.keys(), ...(p.opening !== null || p.closing !== null ? [OUTSIDE] : [])];
  const path = new Array<number>(frames).fill(0);
  function* extend(t: number): Generator<[number[], number]> {
    if (t === frames) {
      const score = scoreOf(p, path);
      if (score !== null) yield [path, score];
      return;
    }
    for (const symbol of symbols) {
      path[t] = symbol;
      yield* extend(t + 1);
    }
  }
  yield* extend(0);
}

/** The best score over the whole lattice, in float64: states blank, label, blank, ... blank, one frame after the other. */
export function wholeLattice(p: Problem): number {
  const { target } = p;
  const states = 2 * target.length + 1;
  const never = -Infinity;
  let now = new Float64Array(states).fill(never);
  // Before the first frame only a free start, or nothing, has been read.
  let outside = p.opening === null ? never : 0;
  let after = never;
  const { scores } = p;
  scores.forEach((row, t) => {
    const then = new Float64Array(states).fill(never);
    const entry = t === 0 ? 0 : outside;
    const open = t === 0 || p.opening !== null;
    for (let s = 0; s < states; s++) {
      const label = s & 1 ? target[s >> 1]! : p.blank;
      let best = Math.max(now[s]!, s > 0 ? now[s - 1]! : never);
      const previous = s & 1 && s > 1 ? target[(s >> 1) - 1]! : null;
      if (s & 1 && s > 1 && (label !== previous || label === p.wildcard)) best = Math.max(best, now[s - 2]!);
      if (open && s <= 1) best = Math.max(best, entry);
      then[s] = best + (s & 1 ? costOf(p, t, label) : row[p.blank]!);
    }
    if (p.closing !== null) {
      const done = Math.max(
        after,
        now[states - 1]!,
        states > 1 ? now[states - 2]! : never,
        states === 1 ? entry : never,
      );
      after = done + p.closing;
    }
    if (p.opening !== null) outside += p.opening;
    now = then;
  });
  const empty = target.length === 0 && (scores.length === 0 || p.opening !== null) ? outside : never;
  return scores.length === 0
    ? target.length === 0
      ? 0
      : never
    : Math.max(now[states - 1]!, states > 1 ? now[states - 2]! : never, after, empty);
}
