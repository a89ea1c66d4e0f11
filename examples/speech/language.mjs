import { ngram } from 'tapegrad';

const [BEGIN, END, UNKNOWN] = ['<s>', '</s>', '<unk>'];

/**
 * A model of which words follow which, of some texts: n-grams by Witten and Bell's interpolation (IEEE Transactions on Information Theory 37, 1991). After
 * a context that was seen N times, with T different words behind it, a word seen c times has the probability (c + T p) / (N + T), p being what it has after
 * a context one word shorter. As a back-off model, in ARPA's format, that is exact.
 *
 * @param {readonly string[]} texts
 * @param {number} order
 */
export function wordModel(texts, order) {
  const sentences = texts.map((text) => [BEGIN, ...text.split(' '), END]);
  const vocabulary = new Set(sentences.flatMap((words) => words.slice(1)));
  /** For each context, how often each word comes after it. @type {Map<string, Map<string, number>>} */
  const after = new Map();
  for (const words of sentences) {
    for (let at = 1; at < words.length; at++) {
      for (let length = 0; length < Math.min(order, at + 1); length++) {
        const context = words.slice(at - length, at).join(' ');
        if (!after.has(context)) after.set(context, new Map());
        after.get(context).set(words[at], (after.get(context).get(words[at]) ?? 0) + 1);
      }
    }
  }
  const totals = new Map(
    [...after].map(([context, counts]) => [context, [...counts.values()].reduce((a, b) => a + b)]),
  );
  const probability = (context, word) => {
    const shorter =
      context === '' ? 1 / (vocabulary.size + 1) : probability(context.split(' ').slice(1).join(' '), word);
    const counts = after.get(context);
    return ((counts.get(word) ?? 0) + counts.size * shorter) / (totals.get(context) + counts.size);
  };
  const backOff = (context) => {
    const counts = after.get(context);
    return counts ? ` ${Math.log10(counts.size / (totals.get(context) + counts.size))}` : '';
  };
  const lines = Array.from({ length: order }, () => []);
  lines[0].push(`-99 ${BEGIN}${backOff(BEGIN)}`, `${Math.log10(probability('', UNKNOWN))} ${UNKNOWN}`);
  for (const [context, counts] of after) {
    const length = context === '' ? 0 : context.split(' ').length;
    for (const word of counts.keys()) {
      const gram = context === '' ? word : `${context} ${word}`;
      lines[length].push(`${Math.log10(probability(context, word))} ${gram}${backOff(gram)}`);
    }
  }
  const head = lines.map((list, i) => `ngram ${i + 1}=${list.length}`).join('\n');
  const body = lines.map((list, i) => `\\${i + 1}-grams:\n${list.join('\n')}\n`).join('\n');
  vocabulary.delete(END);
  return { model: ngram(`\\data\\\n${head}\n\n${body}\n\\end\\\n`), words: [...vocabulary] };
}
