/** The decoders' and aligners' cases of other libraries' test suites. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beamDecodeSync, ctcAlignSync, greedyDecodeSync, tensor, type Tensor } from 'tapegrad';

interface Reading {
  readonly text: string;
  readonly log_prob: number;
}

interface StringsCase {
  readonly id: string;
  readonly kind: 'ctc_decode_strings';
  readonly shape: readonly number[];
  readonly vocab: readonly string[];
  readonly blank: number;
  readonly values: readonly (readonly number[][])[];
  readonly expected: {
    readonly greedy: readonly string[];
    readonly exact_top3: readonly (readonly Reading[])[];
    readonly prefix_beam_by_width?: Readonly<Record<string, readonly (readonly Reading[])[]>>;
  };
}

interface AlignCase {
  readonly id: string;
  readonly kind: 'ctc_forced_align';
  readonly shape: readonly number[];
  readonly blank: number;
  readonly values: readonly (readonly number[][])[];
  readonly rows: readonly { readonly targets: number[]; readonly path: number[]; readonly scores: number[] }[];
}

const { cases } = JSON.parse(readFileSync(join(__dirname, '..', 'peer', 'peer_cases.json'), 'utf8')) as {
  cases: readonly (StringsCase | AlignCase)[];
};

describe.each(cases.filter((c): c is StringsCase => c.kind === 'ctc_decode_strings'))('$id', (c) => {
  const x: Tensor = tensor(c.values, { dtype: 'float64' }).log();
  const text = (labels: readonly number[]): string => labels.map((label) => c.vocab[label]).join('');
  const options = { layout: 'NTC', blank: c.blank } as const;

  test('greedy', () => {
    expect(greedyDecodeSync(x, options).map(({ labels }) => text(labels))).toEqual(c.expected.greedy);
  });

  const byWidth = c.expected.prefix_beam_by_width ?? { 20: c.expected.exact_top3.map((list) => list.slice(0, 2)) };
  test.each(Object.entries(byWidth))('prefix beam search of width %s', (width, rows) => {
    const found = beamDecodeSync(x, { ...options, width: Number(width), nBest: 2, rescore: false });
    found.forEach(({ hypotheses }, n) => {
      rows[n]!.forEach((wanted, k) => {
        expect(text(hypotheses[k]!.labels)).toBe(wanted.text);
        expect(hypotheses[k]!.score).toBeCloseTo(wanted.log_prob, 5);
      });
    });
  });

  test('a wide beam finds the likeliest, with their exact probabilities', () => {
    beamDecodeSync(x, { ...options, width: 2000, nBest: 2000 }).forEach(({ hypotheses }, n) => {
      c.expected.exact_top3[n]!.forEach((wanted, k) => {
        expect(text(hypotheses[k]!.labels)).toBe(wanted.text);
        expect(hypotheses[k]!.logProb).toBeCloseTo(wanted.log_prob, 5);
      });
    });
  });
});

describe.each(cases.filter((c): c is AlignCase => c.kind === 'ctc_forced_align'))('$id', (c) => {
  const x = tensor(c.values);

  test.each(c.rows)('$targets', ({ targets, path, scores }) => {
    const [alignment] = ctcAlignSync(x, [targets], { blank: c.blank });
    expect(Array.from(alignment!.path, (index) => (index < 0 ? c.blank : targets[index]))).toEqual(path);
    expect(alignment!.logProb).toBeCloseTo(
      scores.reduce((a, b) => a + b, 0),
      5,
    );
  });

  test('a target that does not fit is a result, bad labels are errors', () => {
    expect(ctcAlignSync(x, [[3, 3, 3, 3]], { blank: c.blank })[0]).toMatchObject({ feasible: false, framesNeeded: 7 });
    expect(() => ctcAlignSync(x, [[0, c.blank]], { blank: c.blank })).toThrow('which is the blank');
    expect(() => ctcAlignSync(x, [[c.shape[2]!]], { blank: c.blank })).toThrow('it must be a class in [0, 6)');
  });
});
