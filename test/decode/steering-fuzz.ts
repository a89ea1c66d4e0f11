import {
  beamDecodeSync,
  type BeamResult,
  hotwords,
  ngram,
  type Random,
  type Steering,
  tensor,
  together,
  tokenSteering,
  wordSteering,
} from 'tapegrad';
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
      ...(rng.next() < 0.5 ? { states } : {}),
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

/** The tokens of the fuzzed problems; class 0 is the blank. */
const TOKENS = ['', 'a', 'b', 'c', 'd'];

/** An ARPA text of random n-grams, pruned at random, and its definition: back-off looked up in a list, in float64. */
export function arpa(
  rng: Random,
  vocabulary: readonly string[],
): { text: string; logProb: (context: readonly string[], word: string) => number } {
  const order = rng.integer(1, 4);
  const words = [...vocabulary, ...(rng.next() < 0.8 ? ['</s>'] : []), ...(rng.next() < 0.5 ? ['<unk>'] : [])];
  const grams = new Map<string, { p: number; backoff: number }>();
  const sections: string[][] = [];
  const number = (least: number): number => Number((least * rng.next()).toFixed(5));
  for (let n = 1; n <= order; n++) {
    const lines: string[] = [];
    const extend = (gram: string[]): void => {
      if (gram.length === n) {
        if (n > 1 && rng.next() < 0.6) return;
        const isEnd = gram.at(-1) === '</s>';
        const p = gram[0] === '<s>' && n === 1 ? -99 : number(-3);
        const backoff = n < order && !isEnd && rng.next() < 0.8 ? number(rng.next() < 0.1 ? 0.2 : -1) : 0;
        grams.set(gram.join(' '), { p: p === -99 ? -Infinity : p, backoff });
        const separator = rng.next() < 0.5 ? '\t' : ' ';
        lines.push([p, gram.join(' '), ...(backoff === 0 ? [] : [backoff])].join(separator));
        return;
      }
      const first = gram.length === 0 ? ['<s>'] : [];
      for (const word of [...first, ...words]) if (gram.at(-1) !== '</s>') extend([...gram, word]);
    };
    extend([]);
    sections.push(lines);
  }
  const counts = sections.map((lines, n) => `ngram ${n + 1}=${lines.length}`).join('\n');
  const bodies = sections.map((lines, n) => `\\${n + 1}-grams:\n${lines.join('\n')}\n`).join('\n');
  const logProb = (context: readonly string[], word: string): number => {
    const gram = grams.get([...context, word].join(' '));
    if (gram) return gram.p * Math.LN10;
    if (context.length === 0) return -Infinity;
    return (grams.get(context.join(' '))?.backoff ?? 0) * Math.LN10 + logProb(context.slice(1), word);
  };
  return {
    text: `made up\n\\data\\\n${counts}\n\n${bodies}\n\\end\\\n`,
    logProb: (context, word) => {
      const known = (own: string): string => (grams.has(own) ? own : '<unk>');
      return logProb(context.map(known).slice(Math.max(0, context.length - order + 1)), known(word));
    },
  };
}

/** What a text of words is worth to a model. */
function textWeight(
  { logProb }: ReturnType<typeof arpa>,
  words: readonly string[],
  { weight, bonus, bos, eos, hasEnd }: { weight: number; bonus: number; bos: boolean; eos: boolean; hasEnd: boolean },
): number {
  const context = bos ? ['<s>'] : [];
  let sum = 0;
  for (const word of words) {
    sum += weight * logProb(context, word) + bonus;
    context.push(word);
  }
  return sum + (eos && hasEnd ? weight * logProb(context, '</s>') : 0);
}

const modelOptions = (rng: Random): { weight: number; bonus: number; bos: boolean; eos: boolean } => ({
  weight: 0.2 + rng.next(),
  bonus: rng.gaussian(),
  bos: rng.next() < 0.7,
  eos: rng.next() < 0.7,
});

function tokens(rng: Random, classes: number): SteeredCase {
  const known = TOKENS.slice(1, classes).filter(() => rng.next() < 0.9);
  const model = arpa(rng, known);
  const options = modelOptions(rng);
  const hasEnd = /\s<\/s>$/m.test(model.text);
  return {
    steering: tokenSteering(ngram(model.text), TOKENS, options),
    weightOf: (labels) =>
      textWeight(
        model,
        labels.map((label) => TOKENS[label]!),
        { ...options, hasEnd },
      ),
  };
}

/** Words of the letters before the last class, which is the separator. */
function words(rng: Random, classes: number): SteeredCase {
  const separator = classes - 1;
  const letters = TOKENS.slice(1, separator);
  const list = letters.length === 0 ? [] : Array.from({ length: rng.integer(1, 6) }, () => word(rng, letters));
  const isModelled = list.length > 0 && rng.next() < 0.7;
  const model = arpa(rng, list.length > 0 ? [...new Set(list)] : ['a']);
  const hasUnknown = /\s<unk>/m.test(model.text);
  const hasEnd = /\s<\/s>$/m.test(model.text);
  const unknown = rng.next() < 0.5 ? -Infinity : -3 * rng.next();
  const partial = rng.next() < 0.5 ? -Infinity : -4 * rng.next();
  const own = modelOptions(rng);
  const options = { ...own, unknown, partial, lookAhead: rng.next() < 0.7 };
  const counts = isModelled ? own : { ...own, weight: 0, eos: false };
  const steering = wordSteering(list, TOKENS, separator, {
    ...options,
    ...(isModelled ? { model: ngram(model.text) } : {}),
  });
  /** The model's word for a word, and what it is worth beside the model. */
  const named = (text: string): [word: string, extra: number] =>
    list.includes(text) ? [text, 0] : [hasUnknown ? '<unk>' : '', unknown];
  const total = (texts: readonly string[], isOpen: boolean): number => {
    const context = counts.bos ? ['<s>'] : [];
    let sum = 0;
    for (const [i, text] of texts.entries()) {
      const isLast = i === texts.length - 1;
      const [name, extra] = named(text);
      let worth = extra + counts.bonus;
      let after = [...context, name];
      if (counts.weight > 0) {
        if (name === '')
          after = []; // nothing follows a word that the model has no name for
        else worth += counts.weight * model.logProb(context, name);
      }
      const end = (of: readonly string[]): number =>
        counts.eos && hasEnd ? counts.weight * model.logProb(of, '</s>') : 0;
      if (isLast && isOpen) {
        const whole = sum + worth + end(after);
        return list.includes(text)
          ? whole
          : Math.max(whole, isBeginning(text) ? sum + partial : -Infinity, partialOf(text, sum));
      }
      sum += worth;
      context.splice(0, Infinity, ...after);
    }
    return sum + (counts.eos && hasEnd ? counts.weight * model.logProb(context, '</s>') : 0);
  };
  const isBeginning = (text: string): boolean => list.some((other) => other.startsWith(text));
  const partialOf = (text: string, sum: number): number =>
    unknown > -Infinity || isBeginning(text) ? sum + partial : -Infinity;
  return {
    steering,
    weightOf: (labels) => {
      if (labels.length === 0) return total([], false);
      const text = labels.map((label) => (label === separator ? ' ' : TOKENS[label]!)).join('');
      const isOpen = !text.endsWith(' ');
      const texts = (isOpen ? text : text.slice(0, -1)).split(' ');
      if (texts.includes('')) return -Infinity;
      return total(texts, isOpen);
    },
  };
}

const word = (rng: Random, letters: readonly string[]): string =>
  Array.from({ length: rng.integer(1, 4) }, () => letters[rng.integer(0, letters.length)]!).join('');

/** A part of a phrase, or all of it and more. */
function akin(rng: Random, phrase: readonly number[]): readonly number[] {
  const at = rng.integer(0, phrase.length);
  const parts = [phrase, phrase.slice(at), phrase.slice(0, at + 1), [...phrase.slice(at), ...phrase]];
  return parts[rng.integer(0, parts.length)]!.slice(0, 6);
}

/**
 * Phrases of one to four labels with boosts of their own, some below 0 and some of nothing, and some that overlap with others; whole words where the last
 * class separates them.
 */
function phrases(rng: Random, classes: number): SteeredCase {
  const isWhole = classes > 2 && rng.next() < 0.4;
  const separator = classes - 1;
  const labels = Array.from({ length: classes - 1 - (isWhole ? 1 : 0) }, (_, i) => i + 1);
  const list =
    labels.length === 0
      ? []
      : Array.from({ length: rng.integer(1, 5) }, () => ({
          phrase: Array.from({ length: rng.integer(1, 5) }, () => labels[rng.integer(0, labels.length)]!),
          boost: rng.next() < 0.2 ? -rng.next() : rng.next() < 0.1 ? 0 : 2 * rng.next(),
        }));
  for (const { phrase } of [...list])
    if (rng.next() < 0.3) list.push({ phrase: [...akin(rng, phrase)], boost: 3 * rng.next() - 0.5 });
  return {
    steering: hotwords(list, TOKENS, isWhole ? { separator } : {}),
    weightOf: (text) => {
      const around = isWhole ? [separator] : [];
      const padded = [...around, ...text, ...around];
      let sum = 0;
      for (const { phrase, boost } of list) {
        const pattern = [...around, ...phrase, ...around];
        for (let at = 0; at + pattern.length <= padded.length; at++)
          if (pattern.every((label, i) => padded[at + i] === label)) sum += boost * phrase.length;
      }
      return sum;
    },
  };
}

function several(rng: Random, classes: number): SteeredCase {
  const parts = [automaton, tokens, words, phrases]
    .filter(() => rng.next() < 0.5)
    .concat(phrases)
    .map((make) => make(rng, classes));
  return {
    steering: together(...parts.map(({ steering }) => steering)),
    weightOf: (labels) => parts.reduce((sum, { weightOf }) => sum + weightOf(labels), 0),
  };
}

export const KINDS: Readonly<Record<string, (rng: Random, classes: number) => SteeredCase>> = {
  automaton,
  'an n-gram model of tokens': tokens,
  'words of a lexicon': words,
  phrases,
  'several together': several,
};

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
function faultOf(
  result: BeamResult,
  known: ReturnType<typeof ranking>,
  { weightOf }: SteeredCase,
  isWide: boolean,
): string | null {
  const { hypotheses, proven } = result;
  const byKey = new Map(known.map((own) => [own.key, own]));
  for (const { labels, score, logProb, weight } of hypotheses) {
    const own = byKey.get(labels.join(' '));
    if (!own) {
      // The enumeration has lost it; the steering must allow it all the same.
      if (score - weight > LOST || weightOf(labels) === -Infinity)
        return `'${labels.join(' ')}' is forbidden, or is no labelling`;
      continue;
    }
    if (own.acoustic < LOST) continue;
    if (!near(weight, own.total - own.acoustic, 1e-9)) return `weight ${weight}, not ${own.total - own.acoustic}`;
    if (score > own.total + 1e-8 * (1 + Math.abs(own.total))) return `score ${score} above ${own.total}`;
    if (isWide && !near(score, own.total, 1e-8)) return `score ${score}, not ${own.total}`;
    if (!Number.isNaN(logProb) && !near(logProb, own.acoustic, 2e-5)) return `logProb ${logProb}, not ${own.acoustic}`;
  }
  const sure = known.filter(({ acoustic }) => acoustic > LOST);
  const best = sure[0]?.total ?? -Infinity;
  const first = hypotheses[0];
  if (proven && best > LOST && !((byKey.get(first!.labels.join(' '))?.total ?? -Infinity) >= best - 1e-6))
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
    fault: faultOf(wide!, known, steered, true) ?? faultOf(narrow!, known, steered, false),
    proven: narrow!.proven,
  };
}

export interface SteeringReport {
  cases: number;
  proven: number;
  falseAccepts: number;
  readonly examples: string[];
}

/** Random problems, each with every kind of steering in turn. */
export function fuzzSteered(
  cases: number,
  rng: Random,
  makeEmissions: (rng: Random) => Emissions,
  progress?: (done: number) => void,
): SteeringReport {
  const report: SteeringReport = { cases: 0, proven: 0, falseAccepts: 0, examples: [] };
  const kinds = Object.entries(KINDS);
  while (report.cases < cases) {
    const [name, make] = kinds[report.cases % kinds.length]!;
    const emissions = makeEmissions(rng);
    const { fault, proven } = tryCase(rng, emissions, make(rng, emissions.classes));
    if (proven) report.proven++;
    if (fault !== null) {
      report.falseAccepts++;
      if (report.examples.length < 5) report.examples.push(`case ${report.cases}, ${name}: ${fault}`);
    }
    report.cases++;
    progress?.(report.cases);
  }
  return report;
}
