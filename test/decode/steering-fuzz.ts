import { beamDecodeSync, type BeamResult, type Random, type Steering, tensor } from 'tapegrad';
import { allLabellings, type Emissions } from './beam-fuzz.js';

/**
 * Small random problems with a steering, against all labellings: acoustic probabilities enumerated path by path, weights by an oracle that knows nothing
 * of automata.
 */
export interface SteeredCase {
  readonly steering: Steering;
  /** What a whole labelling is worth, by a reading of the definition. */
  readonly weightOf: (labels: readonly number[]) => number;
}

/** A made-up automaton of a few states: weights of both signs, some labels forbidden, with and without bounds. */
export function automaton(rng: Random, classes: number): SteeredCase {
  const states = rng.integer(1, 4);
  const table = Array.from({ length: states }, () =>
    Array.from({ length: classes }, () => ({
      weight: rng.next() < 0.15 ? -Infinity : 2 * rng.gaussian(),
      next: rng.integer(0, states),
    })),
  );
  const ends = table.map(() => (rng.next() < 0.1 ? -Infinity : rng.gaussian()));
  const most = (label: number | null): number =>
    Math.max(...(label === null ? ends : table.map((row) => row[label]!.weight)));
  return {
    steering: {
      start: 0,
      step: (state, label) => [table[state]![label]!.weight, table[state]![label]!.next],
      finish: (state) => ends[state]!,
      ...(rng.next() < 0.7 ? { bound: most } : {}),
    },
    weightOf: (labels) => {
      let [state, sum] = [0, 0];
      for (const label of labels) {
        sum += table[state]![label]!.weight;
        state = table[state]![label]!.next;
      }
      return sum + ends[state]!;
    },
  };
}

export const KINDS: Readonly<Record<string, (rng: Random, classes: number) => SteeredCase>> = { automaton };

/** Below this float64 has lost digits, or all of it, in the enumeration. */
const LOST = -600;

/** All labellings that are not forbidden, best first, with the logarithms of what they are worth. */
function ranking(emissions: Emissions, { weightOf }: SteeredCase): { key: string; acoustic: number; total: number }[] {
  return [...allLabellings(emissions)]
    .map(([key, p]) => {
      const acoustic = Math.log(p);
      // Beams follow what the enumeration loses.
      return {
        key,
        acoustic: Math.max(acoustic, 2 * LOST),
        total: Math.max(acoustic, 2 * LOST) + weightOf(key === '' ? [] : key.split(' ').map(Number)),
      };
    })
    .filter(({ total }) => total > -Infinity)
    .sort((a, b) => b.total - a.total);
}

const near = (a: number, b: number, error: number): boolean => a === b || Math.abs(a - b) <= error * (1 + Math.abs(b));

/** What is wrong with a beam, or null; `rescored` says whether log-probabilities were asked for. */
function faultOf(result: BeamResult, known: ReturnType<typeof ranking>, isWide: boolean): string | null {
  const { hypotheses, proven } = result;
  const byKey = new Map(known.map((own) => [own.key, own]));
  for (const { labels, score, logProb, weight } of hypotheses) {
    const own = byKey.get(labels.join(' '));
    if (!own) return `'${labels.join(' ')}' is forbidden, or is no labelling`;
    if (own.acoustic < LOST) continue;
    if (!near(weight, own.total - own.acoustic, 1e-9)) return `weight ${weight}, not ${own.total - own.acoustic}`;
    if (score > own.total + 1e-8 * (1 + Math.abs(own.total))) return `score ${score} above ${own.total}`;
    if (isWide && !near(score, own.total, 1e-8)) return `score ${score}, not ${own.total}`;
    if (!Number.isNaN(logProb) && !near(logProb, own.acoustic, 2e-5)) return `logProb ${logProb}, not ${own.acoustic}`;
  }
  const sure = known.filter(({ acoustic }) => acoustic > LOST);
  const best = sure[0]?.total ?? -Infinity;
  const first = hypotheses[0];
  if (proven && !(byKey.get(first!.labels.join(' '))!.total >= best - 1e-6))
    return `proven, but '${first!.labels.join(' ')}' is not the best, '${sure[0]!.key}'`;
  if (isWide) {
    if (hypotheses.length < sure.length) return `${hypotheses.length} of ${sure.length} labellings`;
    for (let k = 1; k < hypotheses.length; k++)
      if (hypotheses[k]!.score > hypotheses[k - 1]!.score) return 'the order is wrong';
  }
  return null;
}

/** Decodes one problem with a wide and with a narrow beam. Returns what is wrong, and whether the narrow one was proven. */
export function tryCase(
  rng: Random,
  emissions: Emissions,
  steered: SteeredCase,
): { fault: string | null; proven: boolean } {
  const { scores, frames, classes } = emissions;
  const x = tensor(scores, { shape: [frames, classes] });
  const { steering } = steered;
  const known = ranking(emissions, steered);
  const [wide] = beamDecodeSync(x, { width: 8192, nBest: 8192, rescore: false, steering });
  const width = rng.integer(1, 6);
  const [narrow] = beamDecodeSync(x, { width, nBest: width, steering });
  return {
    fault: faultOf(wide!, known, true) ?? faultOf(narrow!, known, false),
    proven: narrow!.proven,
  };
}
