import { beamDecodeSync, type BeamResult, type Random, random, tensor } from 'tapegrad';

/**
 * Small random problems against all labellings, enumerated path by path in float64: what a beam says is proven must be the most probable one,
 * no score may be above the truth, and a beam wide enough for everything must find everything.
 */
export interface BeamReport {
  cases: number;
  /** Narrow beams whose first labelling is proven, and those whose first is right. */
  proven: number;
  right: number;
  falseAccepts: number;
  readonly examples: string[];
}

export interface Emissions {
  readonly scores: Float32Array;
  readonly frames: number;
  readonly classes: number;
}

/** The probability of every labelling, by its labels joined by blanks. */
export function allLabellings({ scores, frames, classes }: Emissions): Map<string, number> {
  let now = new Map<string, [inBlank: number, inLabel: number]>([['', [1, 0]]]);
  for (let t = 0; t < frames; t++) {
    const then = new Map<string, [number, number]>();
    const add = (key: string, inBlank: number, inLabel: number): void => {
      if (inBlank === 0 && inLabel === 0) return;
      const sum = then.get(key);
      if (!sum) then.set(key, [inBlank, inLabel]);
      else [sum[0], sum[1]] = [sum[0] + inBlank, sum[1] + inLabel];
    };
    for (const [key, [inBlank, inLabel]] of now) {
      const last = key === '' ? -1 : Number(key.slice(key.lastIndexOf(' ') + 1));
      for (let c = 0; c < classes; c++) {
        const p = Math.exp(scores[t * classes + c]!);
        if (c === 0) add(key, (inBlank + inLabel) * p, 0);
        else {
          if (c === last) add(key, 0, inLabel * p);
          add(key === '' ? String(c) : `${key} ${c}`, 0, (c === last ? inBlank : inBlank + inLabel) * p);
        }
      }
    }
    now = then;
  }
  return new Map([...now].map(([key, [inBlank, inLabel]]) => [key, inBlank + inLabel]));
}

export function makeEmissions(rng: Random): Emissions {
  const frames = rng.integer(0, 7);
  const classes = rng.integer(1, 5);
  const peaky = 0.3 + 6 * rng.next();
  const kind = rng.next();
  const scores = new Float32Array(frames * classes);
  for (let t = 0; t < frames; t++) {
    const row = Array.from({ length: classes }, () =>
      kind < 0.1
        ? rng.integer(0, 2)
        : kind < 0.2 && rng.next() < 0.3
          ? -Infinity
          : kind > 0.95
            ? 300 * rng.gaussian()
            : peaky * rng.gaussian(),
    );
    const top = Math.max(...row);
    const norm = kind > 0.9 && kind < 0.95 ? 0.3 : top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
    row.forEach((x, c) => (scores[t * classes + c] = Number.isNaN(x - norm) ? -Infinity : x - norm));
  }
  return { scores, frames, classes };
}

export const decode = (
  { scores, frames, classes }: Emissions,
  width: number,
  nBest = width,
  rescore = true,
): BeamResult => beamDecodeSync(tensor(scores, { shape: [frames, classes] }), { width, nBest, rescore })[0]!;

/** What is wrong, or null. */
export function faultOf(emissions: Emissions, narrow: BeamResult, wide: BeamResult): string | null {
  const all = allLabellings(emissions);
  const known = [...all.entries()].filter(([, p]) => p > 0).sort((a, b) => b[1] - a[1]);
  const near = (a: number, b: number): boolean => a === b || b < -690 || Math.abs(a - b) <= 2e-5 * (1 + Math.abs(b)); // below, float64 has lost digits here
  for (const { hypotheses } of [narrow, wide])
    for (const { labels, score, logProb } of hypotheses) {
      const truth = Math.log(all.get(labels.join(' ')) ?? 0);
      if (truth > -690 && score > truth + 1e-9 * (1 + Math.abs(truth)))
        return `${labels.join(' ')} scores ${score}, above ${truth}`;
      if (!near(logProb, truth)) return `${labels.join(' ')} has log-probability ${logProb}, not ${truth}`;
    }
  if (wide.hypotheses.length < Math.min(64, known.filter(([, p]) => p > 1e-290).length))
    return `${wide.hypotheses.length} of ${known.length} labellings`;
  const best = known[0]?.[1] ?? 0;
  for (const { hypotheses, proven } of [narrow, wide]) {
    const first = hypotheses[0];
    const truth = first ? all.get(first.labels.join(' '))! : 0;
    if (proven && !(truth >= best * (1 - 1e-6)))
      return `proven, but ${first!.labels.join(' ')} has ${truth}, the best ${best}`;
  }
  if (narrow.hypotheses.length > 0) {
    const held = narrow.hypotheses.reduce((sum, { score }) => sum + Math.exp(score), Math.exp(narrow.lostLogProb));
    const total = known.reduce((sum, [, p]) => sum + p, 0);
    if (held < total * (1 - 1e-9)) return `beam and loss hold ${held} of ${total}`;
  }
  return null;
}

export function fuzz(cases: number, seed: number, progress?: (done: number) => void): BeamReport {
  const rng = random(seed);
  const report: BeamReport = { cases: 0, proven: 0, right: 0, falseAccepts: 0, examples: [] };
  while (report.cases < cases) {
    const emissions = makeEmissions(rng);
    const narrow = decode(emissions, rng.integer(1, 6));
    const fault = faultOf(emissions, narrow, decode(emissions, 4096, 64));
    if (narrow.proven) report.proven++;
    if (fault === null) report.right++;
    else {
      report.falseAccepts++;
      if (report.examples.length < 5)
        report.examples.push(`case ${report.cases}, T = ${emissions.frames}, C = ${emissions.classes}: ${fault}`);
    }
    report.cases++;
    progress?.(report.cases);
  }
  return report;
}
