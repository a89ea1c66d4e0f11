import { gzipSync } from 'node:zlib';
import {
  beamDecodeSync,
  FormatError,
  hotwords,
  loadSafetensors,
  ngram,
  random,
  saveSafetensors,
  type Steering,
  tensor,
  together,
  tokenSteering,
  ValueError,
  wordSteering,
} from 'tapegrad';
import { arpa } from './steering-fuzz.js';

const TEXT = `\\data\\
ngram 1=5
ngram 2=4
ngram 3=2

\\1-grams:
-1.2\t<unk>
-99\t<s>\t-0.4
-0.9 </s>
-0.7\tthe\t-0.3
-1.1 cat -0.2

\\2-grams:
-0.2\t<s> the\t-0.1
-0.5\tthe cat\t0.05
-0.6 cat </s>
-0.4 the the

\\3-grams:
-0.1\t<s> the cat
-0.3\tthe cat </s>

\\end\\
`;

const log10 = (...values: number[]): number => values.reduce((a, b) => a + b, 0) * Math.LN10;

describe('ngram', () => {
  const model = ngram(TEXT);

  test('probabilities, back-offs and unknown words by the definition', () => {
    expect(model.order).toBe(3);
    expect(model.words).toEqual(['<unk>', '<s>', '</s>', 'the', 'cat']);
    expect(model.scoreText(['the', 'cat'])).toBeCloseTo(log10(-0.2, -0.1, -0.3), 12);
    // "the" twice: the bigram; then "cat" after "the the" by the back-offs of a context that is in no line.
    expect(model.scoreText(['the', 'the', 'cat'], { eos: false })).toBeCloseTo(log10(-0.2, -0.1 - 0.4, -0.5), 12);
    // "dog" is unknown: its end comes after the context of nothing.
    expect(model.scoreText(['dog'])).toBeCloseTo(log10(-0.4 - 1.2, -0.9), 12);
    expect(model.scoreText(['cat'], { bos: false })).toBeCloseTo(log10(-1.1, -0.6), 12);
    expect(model.idOf('dog')).toBe(model.unk);
    expect([model.has('dog'), model.has('cat')]).toEqual([false, true]);
    expect(ngram(TEXT, { unk: 'nothing' }).scoreText(['dog'])).toBe(-Infinity);
  });

  test('random models: every text as in the definition, and never more than the bound', () => {
    const rng = random(3);
    const names = ['a', 'b', 'c'];
    for (let k = 0; k < 60; k++) {
      const { text, logProb } = arpa(rng, names);
      const made = ngram(text);
      const most = made.mostOf();
      let state = made.start;
      const context = ['<s>'];
      for (let i = 0; i < 12; i++) {
        const word = [...names, 'z'][rng.integer(0, 4)]!;
        const id = made.idOf(word);
        const value = made.logProb(state, id);
        const wanted = logProb(context, word);
        if (wanted === -Infinity) expect(value).toBe(-Infinity);
        else expect(value).toBeCloseTo(wanted, 11);
        if (id >= 0) expect(value).toBeLessThanOrEqual(most[id]! + 1e-9);
        state = made.after(state, id);
        context.push(word);
      }
    }
  });

  test('text, bytes, gzip and a saved model are the same model', async () => {
    const bytes = new TextEncoder().encode(TEXT.replaceAll('cat', 'käse'));
    const saved = loadSafetensors(await saveSafetensors(ngram(bytes).save())).tensors;
    for (const source of [
      bytes,
      new Uint8Array(gzipSync(bytes)),
      saved,
      TEXT.replaceAll('cat', 'käse').replaceAll('\n', '\r\n'),
    ]) {
      const other = ngram(source);
      expect(other.words).toEqual(['<unk>', '<s>', '</s>', 'the', 'käse']);
      expect(other.scoreText(['the', 'käse', 'dog', 'the'])).toBe(model.scoreText(['the', 'cat', 'dog', 'the']));
    }
    expect(() => ngram({ ...saved, next: saved.word! })).not.toThrow();
    expect(() => ngram({ ...saved, next: tensor([9, 9]) })).toThrow(FormatError);
    expect(() => ngram({ ...saved, begin: undefined as never })).toThrow('a saved model has begin, a list of int32');
    const circle = saved.suffix!.mul(0).add(1).cast('int32');
    expect(() => ngram({ ...saved, suffix: circle })).toThrow('do not fit one another');
    expect(() => ngram(new Uint8Array([0x1f, 0x8b, 1, 2]))).toThrow('cannot be inflated');
  });

  test.each([
    ['no ARPA file', 'hello\nworld', 'line 2: there is no \\data\\: this is no ARPA file'],
    ['no end', TEXT.replace('\\end\\\n', ''), 'the file ends without \\end\\'],
    [
      'a count that is wrong',
      TEXT.replace('ngram 2=4', 'ngram 2=5'),
      'line 19: the section of 2-grams ends after 4, and \\data\\ says 5',
    ],
    [
      'too few fields',
      TEXT.replace('-0.6 cat </s>', '-0.6 cat'),
      'line 16: a 2-gram has 2 fields; there must be 3, or 4 with a back-off',
    ],
    ['no number', TEXT.replace('-0.6 cat', '-0,6 cat'), "line 16: '-0,6' is no logarithm of a probability"],
    [
      'a number in another base',
      TEXT.replace('-0.6 cat', '0x10 cat'),
      "line 16: '0x10' is no logarithm of a probability",
    ],
    ['no back-off', TEXT.replace('-0.3\n-1.1', 'x\n-1.1'), "line 10: 'x' is no logarithm of a back-off"],
    ['an n-gram twice', TEXT.replace('-0.4 the the', '-0.4 the cat'), "line 17: 'the cat' has been there before"],
    ['a section out of order', TEXT.replace('\\2-grams:', '\\3-grams:'), 'line 13: \\3-grams: where \\2-grams: goes'],
    [
      'a section missing',
      TEXT.replace(/\\3-grams:[^]*\\end/, '\\end'),
      'line 19: \\end\\ before the section of 3-grams',
    ],
    ['a header that is none', TEXT.replace('ngram 2=4', 'ngram two'), "line 3: 'ngram two' where 'ngram 2=count' goes"],
    ['an unknown section', TEXT.replace('\\1-grams:', '\\1-gram'), "line 6: '\\1-gram' is no section of an ARPA file"],
  ])('%s is refused by its line', (_, text, message) => {
    expect(() => ngram(text)).toThrow(message);
    expect(() => ngram(text)).toThrow(FormatError);
  });
});

describe('wordSteering', () => {
  const tokens = ['', 'a', 'c', 'e', 'h', 't', 'ch', ' '];
  const SPACE = 7;

  test('reads the words that labels spell; the longest token comes first', () => {
    const steering = wordSteering(['cat', 'the', 'chat', ['tea', [5, 3, 1]]], tokens, SPACE, { unknown: -5 });
    expect(steering.read([2, 1, 5, 7, 6, 1, 5, 7, 5, 3, 1])).toEqual(['cat', 'chat', 'tea']);
    expect(steering.read([2, 2, 7, 5, 4, 3, 7])).toEqual([null, 'the']);
    // c + h is no spelling of 'chat': it is an unknown word.
    expect(steering.read([2, 4, 1, 5])).toEqual([null]);
    expect(steering.read([])).toEqual([]);
  });

  test('of words that are spelt alike the likelier one counts', () => {
    const model = ngram(TEXT.replaceAll('cat', 'two').replaceAll('the', 'too'));
    const steering = wordSteering(
      [
        ['two', [1, 2]],
        ['too', [1, 2]],
      ],
      ['', 'a', 'b', ' '],
      3,
      { model },
    );
    const [first, second] = [steering.read([1, 2, 3, 1, 2]), steering.read([1, 2])];
    expect(second).toEqual(['too']);
    expect(first).toEqual(['too', 'two']);
  });

  test('what cannot be is said at once', () => {
    const model = ngram(TEXT.replaceAll('<unk>', 'ten'));
    expect(() => wordSteering(['cab'], tokens, SPACE)).toThrow("word 0, 'cab': there is no token for 'b'");
    expect(() => wordSteering(['tea'], tokens, SPACE, { model })).toThrow("word 0, 'tea', is not in the model");
    expect(() => wordSteering(['tea'], tokens, SPACE, { model, unknown: -9 })).not.toThrow();
    expect(() => wordSteering([['tea', [5, 7]]], tokens, SPACE)).toThrow('has the separator, 7, in it');
    expect(() => wordSteering('tea', tokens, SPACE)).toThrow("the words are 'tea'; they must be a list");
    expect(() => wordSteering([['tea', []]], tokens, SPACE)).toThrow('is spelt an array; it must be a list of labels');
    expect(() => wordSteering([], tokens, SPACE, { partial: NaN })).toThrow('partial is NaN');
    expect(() => wordSteering([], tokens, SPACE, { weight: -1, model })).toThrow('weight is -1');
    expect(() => tokenSteering({} as never, tokens)).toThrow(
      'the model is an object; it must be one that ngram has read',
    );
  });
});

describe('hotwords and together', () => {
  const tokens = ['', 'a', 'b', 'c'];
  test('refuse what is no phrase, no boost, no steering', () => {
    expect(() => hotwords(['ad'], tokens)).toThrow("phrase 0, 'ad': there is no token for 'd'");
    expect(() => hotwords('ab', tokens)).toThrow("the phrases are 'ab'; they must be a list");
    expect(() => hotwords([''], tokens)).toThrow('phrase 0 is spelt an array');
    const none = hotwords([], tokens, { separator: 3 });
    expect(none.step(none.start, 1)[0]).toBe(0);
    expect(together(none, none).start).toBeGreaterThanOrEqual(0);
    expect(() => hotwords(['a'], tokens, { boost: Infinity })).toThrow('boost is Infinity; it must be a finite number');
    expect(() => hotwords([{ phrase: 'a', boost: NaN }], tokens)).toThrow('the boost of phrase 0 is NaN');
    expect(() => together()).toThrow('there is nothing to put together');
    const endless: Steering = { start: 0, step: (state) => [0, state + 1] };
    for (const state of [1, -1, 0.5])
      expect(() => together(endless, endless).step(state, 1)).toThrow(
        new ValueError(
          'together',
          `state ${state} is none that has been met here: a stream whose labels were taken goes on only with the steering that it had`,
        ),
      );
    expect(() => together({} as never)).toThrow(
      "steering 0 is an object; it must be an object with 'start' and 'step'",
    );
    const liar = { start: 0, states: 1, step: (): [number, number] => [0, 1] };
    const both = together(liar, liar);
    expect(() => both.step(0, 1)).toThrow('steering 0 is in state 1, and says that it has 1 states');
  });

  test('a phrase that breaks off leaves every other score as it was, and one that is read wins where it was close', () => {
    const x = tensor([
      [0.05, 0.9, 0.04, 0.01],
      [0.9, 0.04, 0.03, 0.03],
      [0.05, 0.03, 0.42, 0.5],
    ]).log();
    const options = { width: 64, nBest: 64, rescore: false };
    const [free] = beamDecodeSync(x, options);
    const [hot] = beamDecodeSync(x, { ...options, steering: hotwords(['ab'], tokens, { boost: 0.5 }) });
    expect(free!.hypotheses[0]!.labels).toEqual([1, 3]);
    expect(hot!.hypotheses[0]!.labels).toEqual([1, 2]);
    const scores = new Map(free!.hypotheses.map(({ labels, score }) => [labels.join(), score]));
    for (const { labels, score, weight } of hot!.hypotheses) {
      expect(weight).toBeCloseTo(labels.join().includes('1,2') ? 1 : 0, 12);
      expect(score).toBeCloseTo(scores.get(labels.join())! + weight, 9);
    }
  });
});

test('confidences of labels and words are shares of the readings in the beam', () => {
  const x = random(17).normal([24, 5]).mul(2).logSoftmax(-1);
  const [result] = beamDecodeSync(x, { width: 50, nBest: 50, confidences: true, separator: 4, align: true });
  const { hypotheses } = result!;
  const total = hypotheses.reduce((sum, { share }) => sum + share, 0);
  expect(total).toBeCloseTo(1, 9);
  for (const { labels, confidences, words, share, spans } of hypotheses) {
    expect(confidences).toHaveLength(labels.length);
    for (const confidence of confidences!) {
      expect(confidence).toBeGreaterThanOrEqual(share - 1e-12);
      expect(confidence).toBeLessThanOrEqual(1);
    }
    for (const { labels: own, first, last, start, end, confidence } of words!) {
      expect(own).toEqual(labels.slice(first, last));
      expect(own).not.toContain(4);
      expect([start, end]).toEqual([spans![first]!.start, spans![last - 1]!.end]);
      expect(confidence).toBeGreaterThanOrEqual(share - 1e-12);
    }
  }
  // A beam of one reading is sure of it.
  const [one] = beamDecodeSync(x, { width: 1, confidences: true });
  expect(new Set(one!.hypotheses[0]!.confidences)).toEqual(new Set([1]));
});
