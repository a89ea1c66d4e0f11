/** CTC by definition, in plain loops: what the kernels are held against. */

export interface Batch {
  readonly frames: number;
  readonly batch: number;
  readonly classes: number;
  readonly blank: number;
  /** [frames][batch][classes] */
  readonly scores: ArrayLike<number>;
  readonly targets: readonly (readonly number[])[];
  readonly inputLengths: readonly number[];
}

export interface Solved {
  readonly losses: number[];
  readonly gradient: Float64Array;
}

const logAdd = (a: number, b: number): number => {
  const high = Math.max(a, b);
  return high === -Infinity ? high : high + Math.log1p(Math.exp(Math.min(a, b) - high));
};

/** One sequence's log-probabilities: its own frames, normalised if they are logits. */
function logProbsOf({ batch, classes, scores, inputLengths }: Batch, n: number, logits: boolean): number[][] {
  return Array.from({ length: inputLengths[n]! }, (_, t) => {
    const row = Array.from({ length: classes }, (_unused, c) => scores[(t * batch + n) * classes + c]!);
    if (!logits) return row;
    const top = Math.max(...row);
    const best = row.indexOf(top);
    const rest = row.reduce((sum, x, c) => (c === best ? sum : sum + Math.exp(x - top)), 0);
    return row.map((x) => x - top - Math.log1p(rest));
  });
}

/** Losses and their gradients by the forward-backward recursion in the log domain, in float64. */
export function solve(problem: Batch, logits: boolean): Solved {
  const { batch, classes, blank } = problem;
  const gradient = new Float64Array(problem.scores.length);
  const losses = problem.targets.map((target, n) => {
    const rows = logProbsOf(problem, n, logits);
    if (rows.flat().some(Number.isNaN)) {
      rows.forEach((row, t) => {
        gradient.fill(NaN, (t * batch + n) * classes, (t * batch + n) * classes + row.length);
      });
      return NaN;
    }
    const states = [blank, ...target.flatMap((label) => [label, blank])];
    const skips = states.map((label, s) => s > 1 && label !== blank && label !== states[s - 2]);
    if (rows.length === 0) return target.length === 0 ? 0 : Infinity;
    const sweep = (frames: number[][], labels: readonly number[], skip: readonly boolean[]): number[][] => {
      const all: number[][] = [];
      frames.forEach((row, t) => {
        const before = all[t - 1];
        all.push(
          labels.map((label, s) => {
            if (!before) return s < 2 ? row[label]! : -Infinity;
            let sum = before[s]!;
            if (s > 0) sum = logAdd(sum, before[s - 1]!);
            if (skip[s]) sum = logAdd(sum, before[s - 2]!);
            return sum + row[label]!;
          }),
        );
      });
      return all;
    };
    const alpha = sweep(rows, states, skips);
    const mirrored = [...states].reverse();
    const beta = sweep(
      [...rows].reverse(),
      mirrored,
      mirrored.map((label, s) => s > 1 && label !== blank && label !== mirrored[s - 2]),
    )
      .reverse()
      .map((row) => row.reverse());
    const last = alpha[rows.length - 1]!;
    const total = last.slice(-2).reduce(logAdd, -Infinity);
    if (total === -Infinity) return Infinity;
    rows.forEach((row, t) => {
      const through = states.map(
        (label, s) => alpha[t]![s]! + beta[t]![s]! - (row[label] === -Infinity ? 0 : row[label]!),
      );
      const top = Math.max(...through);
      const weights = through.map((w) => Math.exp(w - top));
      const sum = weights.reduce((a, b) => a + b, 0);
      const at = (t * batch + n) * classes;
      if (logits)
        row.forEach((lp, c) => {
          gradient[at + c] = Math.exp(lp);
        });
      states.forEach((label, s) => {
        gradient[at + label]! -= weights[s]! / sum;
      });
    });
    return -total;
  });
  return { losses, gradient };
}

/** The loss of one sequence by writing down every path: for tiny problems. */
export function enumerate(logProbs: readonly (readonly number[])[], target: readonly number[], blank: number): number {
  const classes = logProbs[0]!.length;
  let probability = 0;
  const visit = (t: number, path: number[], logP: number): void => {
    if (t < logProbs.length) {
      for (let c = 0; c < classes; c++) visit(t + 1, [...path, c], logP + logProbs[t]![c]!);
      return;
    }
    const labels = path.filter((c, i) => c !== blank && c !== path[i - 1]);
    if (labels.length === target.length && labels.every((label, i) => label === target[i]))
      probability += Math.exp(logP);
  };
  visit(0, [], 0);
  return -Math.log(probability);
}

/** The greatest difference of two lists. */
export function worst(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got).toHaveLength(want.length);
  return Array.from(want).reduce((error, value, i) => Math.max(error, Math.abs(got[i]! - value)), 0);
}
