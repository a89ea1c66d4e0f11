/** The cases of other libraries' test suites, as numbers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ctcLoss, logSoftmax, random, tensor, type Tensor, vjp } from 'tapegrad';

type Nested = number | string | readonly Nested[];

interface PeerCase {
  readonly id: string;
  readonly kind: string;
  readonly domain: 'logits' | 'log_probs';
  readonly shape: readonly [number, number, number];
  readonly values?: Nested;
  readonly blank?: number;
  readonly targets: readonly (readonly number[])[] | null;
  readonly input_lengths: readonly number[];
  readonly target_lengths: readonly number[];
  readonly atol?: number;
  readonly rtol?: number;
  readonly options?: { readonly flat_targets?: readonly number[] };
  readonly only_alignment?: readonly (readonly number[])[];
  readonly must_throw?: readonly ErrorCase[];
  readonly expected: {
    readonly losses?: Nested;
    readonly grad_logits?: Nested;
    readonly grad_log_probs?: Nested;
    readonly mean?: number;
    readonly sum?: number;
    readonly batch_mean?: number;
    readonly grad_abs_sum?: number;
    readonly grad_probe?: readonly { tnc: [number, number, number]; value: number }[];
    readonly grad_padding_abs_sum?: number;
  };
}

interface ErrorCase {
  readonly why: string;
  readonly log_probs_shape?: readonly number[];
  readonly log_probs_dtype?: 'int32';
  readonly targets?: readonly (readonly number[])[];
  readonly targets_shape?: readonly number[];
  readonly flat_targets?: readonly number[];
  readonly input_lengths?: readonly number[];
  readonly target_lengths?: readonly number[];
  readonly blank?: number;
}

const { cases } = JSON.parse(readFileSync(join(__dirname, '..', 'peer', 'peer_cases.json'), 'utf8')) as {
  cases: readonly PeerCase[];
};
const losses = cases.filter((c) => c.kind === 'ctc_loss');

const numbers = (data: Nested): number[] =>
  Array.isArray(data) ? (data as readonly Nested[]).flatMap(numbers) : [Number(data)];

function expectClose(got: ArrayLike<number>, want: readonly number[], absolute: number, relative = 0): void {
  expect(got).toHaveLength(want.length);
  want.forEach((value, i) => {
    if (Number.isFinite(value))
      expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(absolute + relative * Math.abs(value));
    else expect(got[i]).toBe(value);
  });
}

/** Some cases give their values and targets by a formula. */
function valuesOf({ values, shape }: PeerCase): number[] {
  if (values !== undefined) return numbers(values);
  return Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, k) => 2 * Math.sin(1.3 * k + 0.7));
}

function targetsOf({ targets, target_lengths, blank = 0, shape }: PeerCase): readonly (readonly number[])[] {
  return (
    targets ??
    target_lengths.map((length, n) =>
      Array.from({ length }, (_, i) => {
        const v = (7 * i + 3 * n + ((i * i) % 5)) % (shape[2] - 1);
        return v + (v >= blank ? 1 : 0);
      }),
    )
  );
}

test('there are enough cases', () => {
  expect(losses.length).toBeGreaterThanOrEqual(20);
});

describe.each(['float32', 'float64'] as const)('peers, %s', (dtype) => {
  test.each(losses.map((c) => [c.id, c] as const))('%s', (_, c) => {
    const x = tensor(Float64Array.from(valuesOf(c)), { shape: c.shape }).cast(dtype);
    const targets = targetsOf(c);
    const { blank = 0, atol = 0, rtol = 0, expected } = c;
    const absolute = Math.max(atol, 1e-6);
    const from = c.domain === 'logits' ? 'logits' : 'logProbs';
    const one = tensor(new Float32Array(targets.length).fill(1)).cast(dtype);
    const [each, gradient] = vjp(
      (t: Tensor) => ctcLoss(t, targets, c.input_lengths, c.target_lengths, { blank, from }),
      x,
      one,
    );
    if (expected.losses) expectClose(each.dataSync(), numbers(expected.losses), absolute, rtol);
    const grad = gradient.dataSync();
    const want = expected.grad_logits ?? expected.grad_log_probs;
    if (want) expectClose(grad, numbers(want), absolute, rtol);
    if (expected.grad_abs_sum !== undefined)
      expectClose([Array.from(grad).reduce((sum, g) => sum + Math.abs(g), 0)], [expected.grad_abs_sum], absolute, 2e-5);
    for (const {
      tnc: [t, n, k],
      value,
    } of expected.grad_probe ?? [])
      expectClose([grad[(t * c.shape[1] + n) * c.shape[2] + k]!], [value], absolute, 2e-5);
    const reduced = (reduction: 'mean' | 'sum'): number =>
      ctcLoss(x, targets, c.input_lengths, c.target_lengths, { blank, from, reduction }).itemSync();
    if (expected.mean !== undefined) expectClose([reduced('mean')], [expected.mean], absolute, 2e-5);
    if (expected.sum !== undefined) expectClose([reduced('sum')], [expected.sum], absolute, 2e-5);
    if (from === 'logits' && !valuesOf(c).some(Number.isNaN)) {
      const composed = ctcLoss(logSoftmax(x), targets, c.input_lengths, c.target_lengths, { blank });
      expectClose(composed.dataSync(), [...each.dataSync()], absolute, 1e-6);
    }
    if (c.options?.flat_targets) {
      const flat = ctcLoss(x, Int32Array.from(c.options.flat_targets), c.input_lengths, c.target_lengths, {
        blank,
        from,
      });
      expect([...flat.dataSync()]).toEqual([...each.dataSync()]);
    }
    if (from === 'logits') expect(each.dataSync().every((loss) => loss >= 0)).toBe(true);
  });
});

test('a batch of none is legal', () => {
  const [each, gradient] = vjp(
    (t: Tensor) => ctcLoss(t, new Int32Array(0), [], [], { from: 'logits' }),
    tensor([], { shape: [4, 0, 3] }),
    tensor([], { shape: [0] }),
  );
  expect(each.shape).toEqual([0]);
  expect(gradient.shape).toEqual([4, 0, 3]);
});

test('optax: a target with one alignment', () => {
  const {
    targets,
    only_alignment: alignments,
    input_lengths: lengths,
  } = cases.find((c) => c.id === 'optax-repeat-one-to-one') as PeerCase & {
    targets: number[][];
    only_alignment: number[][];
  };
  const logits = random(3).normal([7, 5, 5]);
  const logProbs = logSoftmax(logits.cast('float64')).dataSync();
  const want = alignments.map((path, n) => -path.reduce((sum, c, t) => sum + logProbs[(t * 5 + n) * 5 + c]!, 0));
  expectClose(ctcLoss(logits, targets, lengths, undefined, { from: 'logits' }).dataSync(), want, 0, 1e-6);
});

test('optax: as many frames as labels, all different from their neighbours', () => {
  const logits = random(4).normal([5, 2, 4]);
  const [frames, batch, classes] = [5, 2, 4];
  const targets = [
    [1, 2, 3, 1],
    [3, 1, 2, 1, 3],
  ];
  const lengths = [4, 5];
  const [mean, gradient] = vjp(
    (t: Tensor) => ctcLoss(t, targets, lengths, undefined, { from: 'logits' }).mean(),
    logits,
    tensor(1),
  );
  const logProbs = logSoftmax(logits.cast('float64')).dataSync();
  let total = 0;
  const want = Array.from({ length: frames * batch * classes }, (_, k) => {
    const [t, n, c] = [Math.floor(k / (batch * classes)), Math.floor(k / classes) % batch, k % classes];
    if (t >= lengths[n]!) return 0;
    if (targets[n]![t] === c) total -= logProbs[k]!;
    return (Math.exp(logProbs[k]!) - (targets[n]![t] === c ? 1 : 0)) / batch;
  });
  expectClose([mean.itemSync()], [total / batch], 0, 1e-6);
  expectClose(gradient.dataSync(), want, 1e-7, 1e-6);
  const got = gradient.dataSync();
  want.forEach((value, k) => {
    if (value === 0) expect(got[k]).toBe(0);
  });
});

describe('torch and TensorFlow: what must throw', () => {
  const rows = cases.find((c) => c.id === 'torch-error-cases')!.must_throw!;
  test('there are enough of them', () => {
    expect(rows.length).toBeGreaterThanOrEqual(13);
  });

  test.each(rows.map((row) => [row.why, row] as const))('%s', (_, row) => {
    const shape = row.log_probs_shape ?? [5, 1, 4];
    const batch = shape.length === 3 ? shape[1]! : 1;
    const size = shape.reduce((a, b) => a * b, 1);
    const scores = tensor(new Float32Array(size), { shape, dtype: row.log_probs_dtype ?? 'float32' });
    const lengths =
      row.target_lengths ?? (row.targets ? row.targets.map((list) => list.length) : new Array<number>(batch).fill(1));
    const width = Math.max(1, ...lengths);
    const targets = row.flat_targets
      ? Int32Array.from(row.flat_targets)
      : (row.targets ??
        tensor(new Int32Array((row.targets_shape ?? [batch, width]).reduce((a, b) => a * b, 1)).fill(1), {
          shape: row.targets_shape ?? [batch, width],
        }));
    const call = (): Tensor => ctcLoss(scores, targets, row.input_lengths, lengths, { blank: row.blank ?? 0 });
    expect(call).toThrow(/^\[ctcLoss\] /);
  });
});
