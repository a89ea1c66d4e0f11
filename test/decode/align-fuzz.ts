import { type Alignment, ctcAlignSync, type Random, random, tensor } from 'tapegrad';
import { type Problem, scoreOf, wholeLattice } from './align-reference.js';

/**
 * Random problems of the kinds that break aligners, held against the whole lattice in plain float64. A path that is not a best one, in spite of
 * its proof, is a false accept.
 */
export interface AlignReport {
  cases: number;
  /** Sequences by passes over the lattice. */
  readonly passes: [number, number, number];
  infeasible: number;
  falseAccepts: number;
  readonly examples: string[];
}

const KINDS = ['trained', 'unsure', 'random', 'steep', 'ties', 'holes', 'wrong', 'tight', 'repeated'] as const;
type Kind = (typeof KINDS)[number];

/** A whole number from `low` to `high`, both included. */
const whole = (rng: Random, low: number, high: number): number => rng.integer(low, high + 1);

function rowsOf(rng: Random, kind: Kind, frames: number, classes: number, target: readonly number[]): number[][] {
  const spread = { trained: 1, unsure: 1.5, random: 3, steep: 400, ties: 1, holes: 2, wrong: 1, tight: 2, repeated: 2 }[
    kind
  ];
  return Array.from({ length: frames }, (_, t) => {
    const row = Array.from({ length: classes }, () => spread * rng.gaussian());
    if (kind === 'trained' || kind === 'unsure' || kind === 'wrong') {
      row[0]! += kind === 'unsure' ? 4 : 9;
      const at = Math.floor((t * target.length) / Math.max(frames, 1));
      const label = kind === 'wrong' ? 1 + (at % (classes - 1)) : target[at];
      if (label !== undefined && t % 3 === 1) row[label]! += kind === 'unsure' ? 5 : 14;
    }
    if (kind === 'ties') return row.map((x) => Math.round(x));
    if (kind === 'holes') return row.map((x) => (rng.next() < 0.15 ? -Infinity : x));
    const top = Math.max(...row);
    const norm = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
    return row.map((x) => Math.fround(x - norm));
  });
}

/** @internal */
export function makeProblem(
  rng: Random,
  kind: Kind = KINDS[whole(rng, 0, KINDS.length - 1)]!,
): Problem & { kind: Kind } {
  const classes = whole(rng, 2, 9);
  const long = rng.next() < 0.1;
  const frames = whole(rng, 0, long ? 400 : 40);
  const most = kind === 'tight' ? frames : Math.min(frames, Math.ceil(frames / whole(rng, 1, 4)));
  const length = whole(rng, kind === 'tight' ? Math.floor(most * 0.8) : 0, most);
  const few = kind === 'repeated' ? 1 : classes - 1;
  const target = Array.from({ length }, () => whole(rng, 1, few));
  const wild = rng.next() < 0.2;
  const wildcard = wild ? -1 : null;
  if (wild) target.forEach((_, i) => rng.next() < 0.2 && (target[i] = -1));
  const cost = (): number => (rng.next() < 0.5 ? 0 : -whole(rng, 0, 8) / 2);
  const free = rng.next() < 0.25;
  return {
    kind,
    scores: rowsOf(rng, kind, frames, classes, target),
    target,
    blank: 0,
    wildcard,
    wildcardCost: wild ? cost() : 0,
    opening: free && rng.next() < 0.7 ? cost() : null,
    closing: free && rng.next() < 0.7 ? cost() : null,
  };
}

/**
 * A long problem of a network that misreads a lot: the first pass proves nothing, and what the second one cuts by has to know the target. In half of
 * them, what is misread has its place in the other half of the target only, and all else is as sure as can be: then that bound is next to exact.
 * @internal
 */
export function makeLongProblem(rng: Random): Problem & { kind: string } {
  const exact = rng.next() < 0.5;
  const classes = exact ? 2 * whole(rng, 3, 20) + 1 : whole(rng, 3, 40);
  const half = (classes - 1) / 2;
  const frames = whole(rng, 1200, 2400);
  const length = Math.floor(frames / whole(rng, 2, 8));
  const few = rng.next() < 0.2 ? 2 : classes - 1;
  const wrong = 0.3 + 0.4 * rng.next();
  // What a misread label costs: so much that a frame misses 3/4 nat on average.
  const margin = Math.min(8, (0.75 * frames) / (length * wrong));
  const wild = rng.next() < 0.2;
  const spread = exact ? 0.01 : 1;
  const isLate = (at: number): boolean => at > length / 2;
  const read = Array.from({ length }, (_, at) =>
    exact ? whole(rng, 1, half) + (isLate(at) ? half : 0) : whole(rng, 1, few),
  );
  const scores = Array.from({ length: frames }, (_, t) => {
    const row = Array.from({ length: classes }, () => spread * rng.gaussian());
    row[0]! += 6;
    const at = Math.floor((t * length) / frames);
    if (at !== Math.floor(((t - 1) * length) / frames)) {
      const isWrong = rng.next() < wrong;
      const other = exact ? whole(rng, 1, half) + (isLate(at) ? 0 : half) : whole(rng, 1, classes - 1);
      row[isWrong ? other : read[at]!]! += 15 + rng.next();
      if (isWrong && exact) row[read[at]!]! += 15.5 - margin;
    }
    const norm = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    return row.map((x) => Math.fround(x - norm));
  });
  const ends = rng.next() < 0.3 ? -whole(rng, 0, 4) / 2 : null;
  return {
    kind: 'long',
    scores,
    target: wild ? read.map((label) => (rng.next() < 0.02 ? -1 : label)) : read,
    blank: 0,
    wildcard: wild ? -1 : null,
    wildcardCost: wild ? -whole(rng, 0, 4) : 0,
    opening: ends,
    closing: rng.next() < 0.5 ? ends : null,
  };
}

/** Aligns one problem through the public function. @internal */
export function solve(p: Problem, options: { occupancy?: boolean } = {}): Alignment {
  const classes = p.scores[0]?.length ?? 2;
  const flat = Float64Array.from(p.scores.flat());
  const [alignment] = ctcAlignSync(tensor(flat, { shape: [p.scores.length, classes], dtype: 'float64' }), [p.target], {
    ...(p.wildcard === null ? {} : { wildcard: { label: p.wildcard, logProb: p.wildcardCost } }),
    freeEnds: { start: p.opening ?? false, end: p.closing ?? false },
    ...options,
  });
  return alignment!;
}

/** What is wrong with an alignment, or null. @internal */
export function faultOf(p: Problem, { feasible, path, logProb, spans }: Alignment): string | null {
  const best = wholeLattice(p);
  const near = (a: number, b: number): boolean => a === b || Math.abs(a - b) <= 1e-9 * (1 + Math.abs(b));
  if (feasible !== best > -Infinity) return `feasible is ${feasible}, the best score ${best}`;
  if (!feasible)
    return logProb === -Infinity && path.length === 0 && spans.length === 0 ? null : 'an infeasible one has a path';
  if (!near(logProb, best)) return `the score is ${logProb}, the best one ${best}`;
  const own = scoreOf(p, path);
  if (own === null) return `the path does not spell the target: ${path.join(' ')}`;
  if (!near(own, best)) return `the path scores ${own}, the best one ${best}`;
  return spans.map(({ index }) => index).join() === [...p.target.keys()].join() ? null : 'spans are missing';
}

/** The share of long problems: one takes as long as a thousand others. */
const LONG = 0.005;

export function fuzz(cases: number, seed: number, progress?: (done: number) => void): AlignReport {
  const rng = random(seed);
  const report: AlignReport = { cases: 0, passes: [0, 0, 0], infeasible: 0, falseAccepts: 0, examples: [] };
  while (report.cases < cases) {
    const problem: Problem & { kind: string } = rng.next() < LONG ? makeLongProblem(rng) : makeProblem(rng);
    const alignment = solve(problem);
    report.passes[alignment.passes]++;
    if (!alignment.feasible) report.infeasible++;
    const fault = faultOf(problem, alignment);
    if (fault !== null) {
      report.falseAccepts++;
      if (report.examples.length < 5)
        report.examples.push(
          `${problem.kind}, T = ${problem.scores.length}, target ${problem.target.join(' ')}, ends ${problem.opening} ${problem.closing}, wildcard ${problem.wildcardCost}: ${fault}`,
        );
    }
    report.cases++;
    progress?.(report.cases);
  }
  return report;
}
