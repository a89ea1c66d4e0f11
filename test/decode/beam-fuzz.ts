import { beamDecodeSync, type BeamResult, BeamStream, type Random, random, type Tensor, tensor } from 'tapegrad';

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
  readonly scores: Float32Array | Float64Array;
  readonly frames: number;
  readonly classes: number;
  /** 0 where it is left out. */
  readonly blank?: number;
}

/** The probability of every labelling, by its labels joined by blanks: a beam without a width. */
export function allLabellings({ scores, frames, classes, blank = 0 }: Emissions): Map<string, number> {
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
        if (c === blank) add(key, (inBlank + inLabel) * p, 0);
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

/** Frames and classes, as many as can be enumerated: long with few classes, short with many. */
function sizesOf(rng: Random): [frames: number, classes: number] {
  const kind = rng.next();
  if (kind < 0.04) return [rng.integer(9, 13), rng.integer(2, 4)];
  if (kind < 0.12) return [rng.integer(0, 3), rng.integer(5, 150)];
  return [rng.integer(0, 7), rng.integer(1, 5)];
}

export function makeEmissions(rng: Random, [frames, classes] = [rng.integer(0, 7), rng.integer(1, 5)]): Emissions {
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

/** Many classes over many frames, of which each frame allows a few: what the groups of classes are for, and still few labellings. */
function makeSparse(rng: Random): Emissions {
  const [frames, classes] = [rng.integer(1, 7), rng.integer(5, 300)];
  const scores = new Float32Array(frames * classes).fill(rng.next() < 0.5 ? -Infinity : -1000);
  for (let t = 0; t < frames; t++) {
    const some = Array.from({ length: rng.integer(1, 4) }, () => rng.integer(0, classes));
    for (const c of some) scores[t * classes + c] = Math.log((0.1 + rng.next()) / some.length);
  }
  return { scores, frames, classes };
}

/** A call of `beamDecode` in one of the forms that it takes, with the emissions that each of its sequences comes to. */
interface Call {
  readonly x: Tensor;
  readonly options: { blank: number; layout: 'TNC' | 'NTC'; from: 'logProbs' | 'logits'; inputLengths: number[] };
  readonly sequences: readonly Emissions[];
  /** What the scores may be off by, as they have been normalised in float32. */
  readonly rounding: number;
}

function makeCall(rng: Random): Call {
  const isSparse = rng.next() < 0.15;
  const first = isSparse ? makeSparse(rng) : makeEmissions(rng, sizesOf(rng));
  const { frames, classes } = first;
  const isBatch = rng.next() < 0.4;
  const batch = isBatch ? rng.integer(1, 4) : 1;
  const all = [first];
  while (all.length < batch) all.push(makeEmissions(rng, [isSparse ? 1 : rng.integer(0, frames + 1), classes]));
  const layout = rng.next() < 0.5 ? 'TNC' : 'NTC';
  const dtype = rng.next() < 0.3 ? 'float64' : 'float32';
  // Logits of an impossible frame cannot be normalised.
  const logits = rng.next() < 0.2 && all.every(isPossible);
  // What lies past a sequence's end must not be read.
  const values = new Float64Array(frames * batch * classes).fill(NaN);
  all.forEach(({ scores, frames: own }, n) => {
    for (let t = 0; t < own; t++)
      for (let c = 0; c < classes; c++)
        values[(layout === 'TNC' ? t * batch + n : n * frames + t) * classes + c] = scores[t * classes + c]!;
  });
  const blank = rng.integer(0, classes);
  return {
    x: tensor(values, {
      shape: isBatch ? (layout === 'TNC' ? [frames, batch, classes] : [batch, frames, classes]) : [frames, classes],
      dtype,
    }),
    options: { blank, layout, from: logits ? 'logits' : 'logProbs', inputLengths: all.map(({ frames: own }) => own) },
    sequences: all.map((emissions) => ({ ...(logits ? normalised(emissions) : emissions), blank })),
    rounding: logits ? 1e-5 : 0,
  };
}

/** Whether each frame has a class that may be. */
function isPossible({ scores, frames, classes }: Emissions): boolean {
  const rows = Array.from({ length: frames }, (_, t) => scores.subarray(t * classes, (t + 1) * classes));
  return rows.every((row) => row.some((x) => x > -Infinity));
}

/** Log-probabilities of logits, in float64. */
function normalised({ scores, frames, classes }: Emissions): Emissions {
  const out = Float64Array.from(scores);
  for (let t = 0; t < frames; t++) {
    const row = out.subarray(t * classes, (t + 1) * classes);
    const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const norm = top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
    row.forEach((x, c) => (row[c] = x - norm));
  }
  return { scores: out, frames, classes };
}

export const decode = (
  { scores, frames, classes }: Emissions,
  width: number,
  nBest = width,
  rescore = true,
): BeamResult => beamDecodeSync(tensor(scores, { shape: [frames, classes] }), { width, nBest, rescore })[0]!;

/** What is wrong, or null. */
export function faultOf(emissions: Emissions, narrow: BeamResult, wide: BeamResult, rounding = 0): string | null {
  const all = allLabellings(emissions);
  const known = [...all.entries()].filter(([, p]) => p > 0).sort((a, b) => b[1] - a[1]);
  const most = rounding * emissions.frames + 1e-9;
  const near = (a: number, b: number): boolean =>
    a === b || b < -690 || Math.abs(a - b) <= (rounding + 2e-5) * (1 + Math.abs(b)) + most; // below, float64 has lost digits here
  for (const { hypotheses } of [narrow, wide])
    for (const { labels, score, logProb } of hypotheses) {
      const truth = Math.log(all.get(labels.join(' ')) ?? 0);
      if (truth > -690 && score > truth + most * (1 + Math.abs(truth)))
        return `${labels.join(' ')} scores ${score}, above ${truth}`;
      if (!near(logProb, truth)) return `${labels.join(' ')} has log-probability ${logProb}, not ${truth}`;
    }
  if (wide.hypotheses.length < Math.min(64, known.filter(([, p]) => p > 1e-290).length))
    return `${wide.hypotheses.length} of ${known.length} labellings`;
  const best = known[0]?.[1] ?? 0;
  if (
    best > 1e-290 &&
    !(Math.log(best) <= wide.hypotheses[0]!.logProb + 2 * (2e-5 + rounding) * (1 + Math.abs(Math.log(best))))
  )
    return `a beam for all has missed the best, ${best}`;
  for (const { hypotheses, proven } of [narrow, wide]) {
    const first = hypotheses[0];
    const truth = first ? all.get(first.labels.join(' '))! : 0;
    if (proven && !(truth >= best * (1 - 1e-6 - 2 * rounding * emissions.frames)))
      return `proven, but ${first!.labels.join(' ')} has ${truth}, the best ${best}`;
  }
  if (narrow.hypotheses.length > 0) {
    const held = narrow.hypotheses.reduce((sum, { score }) => sum + Math.exp(score), Math.exp(narrow.lostLogProb));
    const total = known.reduce((sum, [, p]) => sum + p, 0);
    if (held < total * (1 - most)) return `beam and loss hold ${held} of ${total}`;
  }
  return null;
}

/** What is wrong with the same in pieces, or null: a stream reads what the whole gives, to the bit. */
function streamFault(rng: Random, { scores, frames, classes, blank = 0 }: Emissions, width: number): string | null {
  const x = tensor(Float32Array.from(scores), { shape: [frames, classes] });
  const [whole] = beamDecodeSync(x, { width, nBest: width, blank, rescore: false });
  let stream = new BeamStream(classes, { width, blank });
  const taken: number[] = [];
  for (let t = 0; t < frames;) {
    const end = Math.min(frames, t + rng.integer(0, 5));
    stream.push(x.slice([t, end]));
    if (rng.next() < 0.2) {
      const saved = stream.save();
      stream.finish();
      stream = BeamStream.restore(saved);
    }
    if (rng.next() < 0.2) taken.push(...stream.take());
    t = end;
  }
  const readings = stream.readings();
  stream.finish();
  const shown = (
    list: readonly { labels: readonly number[]; score: number }[],
    before: readonly number[] = [],
  ): string => list.map(({ labels, score }) => `${[...before, ...labels].join(' ')}: ${score}`).join('; ');
  const [a, b] = [shown(readings, taken), shown(whole!.hypotheses)];
  return a === b ? null : `in pieces ${a}, at once ${b}`;
}

export function fuzz(cases: number, seed: number, progress?: (done: number) => void): BeamReport {
  const rng = random(seed);
  const report: BeamReport = { cases: 0, proven: 0, right: 0, falseAccepts: 0, examples: [] };
  while (report.cases < cases) {
    const { x, options, sequences, rounding } = makeCall(rng);
    const width = rng.integer(1, 6);
    const narrow = beamDecodeSync(x, { ...options, width, nBest: width });
    const wide = beamDecodeSync(x, { ...options, width: 4096, nBest: 64 });
    sequences.forEach((emissions, n) => {
      if (report.cases === cases) return;
      const fault =
        faultOf(emissions, narrow[n]!, wide[n]!, rounding) ??
        (rounding === 0 && rng.next() < 0.2 ? streamFault(rng, emissions, width) : null);
      if (narrow[n]!.proven) report.proven++;
      if (fault === null) report.right++;
      else {
        report.falseAccepts++;
        if (report.examples.length < 5)
          report.examples.push(
            `case ${report.cases}, T = ${emissions.frames}, C = ${emissions.classes}, width ${width}, ${JSON.stringify(options)}: ${fault}`,
          );
      }
      report.cases++;
      progress?.(report.cases);
    });
  }
  return report;
}
