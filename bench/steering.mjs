// Steered beams, for `npm run bench -- beam`: a lexicon with a word 3-gram, and hotwords, on made-up emissions of made-up texts. Frames a second of
// processor time, one thread. "cold" asks a steering that has been used for nothing yet; "warm" is the same text again. "new" hotwords are made in the call.
import { beamDecodeSync, hotwords, ngram, random, tensor, wordSteering } from '../dist/index.js';
import { emissions } from './emissions.mjs';
import { medianOf, processorRounds, processorTime, ratio } from './harness.mjs';

const TOKENS = ['', ...'abcdefghijklmnopqrstuvwxyz', "'", '-', '.', ',', ' '];
const SPACE = TOKENS.length - 1;
const WORDS = 20_000;

/** A vocabulary and texts in which words follow each other as in a language: few are frequent, and some pairs are. */
function language(rng) {
  const letter = () => TOKENS[1 + Math.min(25, Math.floor(Math.abs(rng.gaussian()) * 8))];
  const words = [
    ...new Set(Array.from({ length: WORDS }, () => Array.from({ length: rng.integer(2, 10) }, letter).join(''))),
  ];
  const frequent = () => Math.min(words.length - 1, Math.floor(words.length ** rng.next()) - 1);
  let last = 0;
  const next = () => (last = rng.next() < 0.5 ? (last * 7919 + rng.integer(0, 5)) % words.length : frequent());
  const text = (length) => Array.from({ length }, () => words[next()]);
  return { words, text };
}

/** An ARPA text of counted n-grams, discounted by a constant. */
function countedModel(words, sentences) {
  const counts = [1, 2, 3].map(() => new Map());
  for (const sentence of sentences) {
    const all = ['<s>', ...sentence, '</s>'];
    all.forEach((_, i) => {
      for (let n = 1; n <= 3 && i + n <= all.length; n++) {
        const key = all.slice(i, i + n).join(' ');
        counts[n - 1].set(key, (counts[n - 1].get(key) ?? 0) + 1);
      }
    });
  }
  for (const word of words) counts[0].set(word, (counts[0].get(word) ?? 0) + 1);
  const total = [...counts[0].values()].reduce((a, b) => a + b, 0);
  const lines = counts.map((own, n) =>
    [...own].map(([key, count]) => {
      const context = n === 0 ? total : counts[n - 1].get(key.slice(0, key.lastIndexOf(' ')));
      const p = key === '<s>' ? -99 : Math.log10(Math.max(count - (n > 0 ? 0.5 : 0), 1e-3) / context);
      return n < 2 ? `${p.toFixed(6)}\t${key}\t-0.4` : `${p.toFixed(6)}\t${key}`;
    }),
  );
  const heads = lines.map((own, n) => `ngram ${n + 1}=${own.length}`).join('\n');
  const bodies = lines.map((own, n) => `\\${n + 1}-grams:\n${own.join('\n')}\n`).join('\n');
  return `\\data\\\n${heads}\n\n${bodies}\n\\end\\\n`;
}

export function benchSteering(milliseconds) {
  const rng = random(7);
  const { words, text } = language(rng);
  const arpa = countedModel(
    words,
    Array.from({ length: 4000 }, () => text(12)),
  );
  const model = ngram(arpa);
  console.log(
    `\nlexicon of ${words.length} words, word 3-gram (ARPA of ${(arpa.length / 2 ** 20).toFixed(1)} MB), ${TOKENS.length} classes`,
  );
  const spoken = text(40).join(' ');
  const labels = Int32Array.from(spoken, (letter) => TOKENS.indexOf(letter));
  const frames = Math.ceil(labels.length * 5);
  const { scores } = emissions({ frames, classes: TOKENS.length, labels: labels.length, target: labels });
  const x = tensor(scores, { shape: [frames, TOKENS.length] });
  const rate = (ms) => `${(frames / ms).toFixed(1)} k`.padStart(9);
  console.log('    width    without       cold       warm   read right');
  for (const width of [16, 100]) {
    const options = { width, rescore: false };
    const make = () => wordSteering(words, TOKENS, SPACE, { model, weight: 0.6, bonus: 0.5 });
    const fresh = make();
    const start = process.cpuUsage();
    const [{ hypotheses }] = beamDecodeSync(x, { ...options, steering: fresh });
    const { user, system } = process.cpuUsage(start);
    const plain = processorTime(() => beamDecodeSync(x, options), milliseconds);
    const warm = processorTime(() => beamDecodeSync(x, { ...options, steering: fresh }), milliseconds);
    const read = hypotheses[0] ? fresh.read(hypotheses[0].labels) : [];
    const right = spoken.split(' ').filter((word, i) => read[i] === word).length;
    console.log(
      `${String(width).padStart(9)}  ${rate(plain)}  ${rate((user + system) / 1000)}  ${rate(warm)}   ${right} of 40 words`,
    );
  }
  const some = Array.from({ length: 100 }, () => words[rng.integer(0, words.length)]);
  console.log('\n100 hotwords\n    width    without        new       with   time with to time without');
  for (const width of [16, 64, 100]) {
    const options = { width, rescore: false };
    const steering = hotwords(some, TOKENS);
    const fresh = processorTime(
      () => beamDecodeSync(x, { ...options, steering: hotwords(some, TOKENS) }),
      milliseconds,
    );
    const [plain, hot] = processorRounds(
      [() => beamDecodeSync(x, options), () => beamDecodeSync(x, { ...options, steering })],
      milliseconds,
    );
    console.log(
      `${String(width).padStart(9)}  ${rate(medianOf(plain))}  ${rate(fresh)}  ${rate(medianOf(hot))}   ${ratio(hot, plain).toFixed(2)}`,
    );
  }
}
