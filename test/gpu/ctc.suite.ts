/** ctcLoss on a GPU: the peers' cases, and the CPU's answers on random batches. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Backend,
  cast,
  ctcLoss,
  ctcPosterior,
  grad,
  logSoftmax,
  random,
  sum,
  tensor,
  type Tensor,
  valueAndGrad,
} from 'tapegrad';
import { ctcLimits } from '../../src/backends/gpu/ctc.js';
import { keptLimit } from '../../src/ops/ctc/loss.js';

type Nested = number | string | readonly Nested[];

interface PeerCase {
  readonly id: string;
  readonly kind: string;
  readonly domain: 'logits' | 'log_probs';
  readonly shape: readonly number[];
  readonly values: Nested;
  readonly blank?: number;
  readonly targets: readonly (readonly number[])[];
  readonly input_lengths: readonly number[];
  readonly target_lengths: readonly number[];
  readonly expected: {
    readonly losses?: Nested;
    readonly grad_logits?: Nested;
    readonly grad_log_probs?: Nested;
    readonly atol?: number;
  };
}

const { cases } = JSON.parse(readFileSync(join(__dirname, '..', 'peer', 'peer_cases.json'), 'utf8')) as {
  cases: readonly PeerCase[];
};
// Some cases give their values by a formula.
const losses = cases.filter(
  (c) => c.kind === 'ctc_loss' && Array.isArray(c.values) && Array.isArray(c.expected.losses),
);

const numbers = (data: Nested): number[] =>
  Array.isArray(data) ? (data as readonly Nested[]).flatMap(numbers) : [Number(data)];

function expectClose(got: ArrayLike<number>, want: readonly number[], relative: number, absolute: number): void {
  expect(got.length).toBe(want.length);
  want.forEach((value, i) => {
    if (Number.isFinite(value))
      expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(absolute + relative * Math.abs(value));
    else expect(got[i]).toBe(value);
  });
}

export function ctcSuite(device: () => Backend): void {
  test('there are enough cases', () => {
    expect(losses.length).toBeGreaterThanOrEqual(15);
  });

  test.each(losses.map((c) => [c.id, c] as const))('%s', async (_, c) => {
    const x = tensor(Float32Array.from(numbers(c.values)), { shape: c.shape }).to(device());
    const from = c.domain === 'logits' ? 'logits' : 'logProbs';
    const [[, each], gradient] = valueAndGrad(
      (t: Tensor) => {
        const all = ctcLoss(t, c.targets, c.input_lengths, c.target_lengths, { blank: c.blank ?? 0, from });
        return [sum(all), all] as const;
      },
      { hasAux: true },
    )(x);
    expectClose(await each.data(), numbers(c.expected.losses!), 2e-6, 2e-5);
    const want = c.expected.grad_logits ?? c.expected.grad_log_probs;
    if (want !== undefined) expectClose(await gradient.data(), numbers(want), 1e-5, 2e-6);
  });

  const TARGETS = [[1, 2, 2, 3], [4], [], [5, 5, 5, 5, 5, 5, 5]] as const;
  const FRAMES = [20, 13, 9, 12];
  const LABELS = TARGETS.map((target) => target.length);

  test.each([
    ['logits', 'sum'],
    ['logits', 'mean'],
    ['logProbs', 'sum'],
    ['logProbs', 'mean'],
  ] as const)("from %s with reduction %s: value and gradient are the CPU's", async (from, reduction) => {
    const x = random(7).normal([20, 4, 6]).mul(2);
    const f = (t: Tensor) => ctcLoss(t, TARGETS, FRAMES, LABELS, { from, reduction, zeroInfinity: true });
    const [value, gradient] = valueAndGrad(f)(x);
    const [there, gradientThere] = valueAndGrad(f)(x.to(device()));
    expectClose(await there.data(), Array.from(value.dataSync()), 1e-6, 1e-6);
    expectClose(await gradientThere.data(), Array.from(gradient.dataSync()), 1e-5, 1e-6);
  });

  test('through logSoftmax it equals the fused form, one sequence without a batch axis too', async () => {
    const x = random(8).normal([15, 9]).mul(3).to(device());
    const fused = valueAndGrad((t: Tensor) => ctcLoss(t, [[3, 1, 4, 1, 5]], [15], [5], { from: 'logits' }))(x);
    const apart = valueAndGrad((t: Tensor) => ctcLoss(logSoftmax(t), [[3, 1, 4, 1, 5]], [15], [5]))(x);
    expect(fused[0].shape).toEqual([]);
    expectClose(await fused[0].data(), Array.from(await apart[0].data()), 1e-6, 1e-6);
    expectClose(await fused[1].data(), Array.from(await apart[1].data()), 1e-5, 2e-6);
  });

  test('cotangents of any sign, one for each sequence; an impossible target gets exact zeros', async () => {
    const x = random(9).normal([6, 3, 5]);
    const weights = tensor([-2, 0.5, 3]);
    const f = (w: Tensor) => (t: Tensor) =>
      sum(ctcLoss(t, [[1, 2], [3], [4, 4, 4, 4]], [6, 4, 6], [2, 1, 4], { from: 'logits', zeroInfinity: true }).mul(w));
    const [, gradient] = valueAndGrad(f(weights))(x);
    const [, gradientThere] = valueAndGrad(f(weights.to(device())))(x.to(device()));
    const data = await gradientThere.data();
    expectClose(data, Array.from(gradient.dataSync()), 1e-5, 1e-6);
    for (let t = 0; t < 6; t++) for (let c = 0; c < 5; c++) expect(data[(t * 3 + 2) * 5 + c]).toBe(0);
  });

  test('the same bits every time', async () => {
    const x = random(10).normal([30, 3, 8]).to(device());
    const f = valueAndGrad((t: Tensor) =>
      ctcLoss(
        t,
        [
          [1, 2, 1, 2, 1],
          [7, 7],
          [3, 4, 5, 6],
        ],
        [30, 21, 30],
        [5, 2, 4],
        { from: 'logits', reduction: 'sum' },
      ),
    );
    const first = Array.from(await f(x)[1].data());
    for (let i = 0; i < 3; i++) expect(Array.from(await f(x)[1].data())).toEqual(first);
  });

  test('posteriors', async () => {
    const x = logSoftmax(random(11).normal([20, 4, 6]).mul(2));
    const want = ctcPosterior(x, TARGETS, FRAMES, LABELS);
    expectClose(
      await ctcPosterior(x.to(device()), TARGETS, FRAMES, LABELS).data(),
      Array.from(want.dataSync()),
      1e-5,
      1e-6,
    );
  });

  test.each(['logits', 'logProbs'] as const)('second derivatives along a direction, from %s', async (from) => {
    const [x, v] = [random(12).normal([20, 4, 6]), random(13).normal([20, 4, 6])];
    const f = (t: Tensor) => ctcLoss(t, TARGETS, FRAMES, LABELS, { from, reduction: 'mean', zeroInfinity: true });
    const along = (w: Tensor) => (t: Tensor) => sum(grad(f)(t).mul(w));
    const want = grad(along(cast(v, 'float64')))(cast(x, 'float64'));
    const got = grad(along(v.to(device())))(x.to(device()));
    expectClose(await got.data(), Array.from(want.dataSync()), 2e-5, 3e-6);
  });

  test('a batch that passes through in parts gives the same bits', async () => {
    const [x, v] = [random(16).normal([20, 4, 6]).to(device()), random(17).normal([20, 4, 6]).to(device())];
    const f = (t: Tensor) =>
      ctcLoss(t, TARGETS, FRAMES, LABELS, { from: 'logits', reduction: 'mean', zeroInfinity: true });
    const all = async (): Promise<number[][]> => {
      const found = [
        f(x),
        grad(f)(x),
        ctcPosterior(logSoftmax(x), TARGETS, FRAMES, LABELS),
        grad((t: Tensor) => sum(grad(f)(t).mul(v)))(x),
      ];
      return Promise.all(found.map(async (t) => Array.from(await t.data())));
    };
    const whole = await all();
    const { bytes } = ctcLimits;
    const kept = keptLimit.bytes;
    for (const limit of [1, 20_000]) {
      ctcLimits.bytes = limit;
      keptLimit.bytes = 0; // what is kept is in one part
      try {
        expect(await all()).toEqual(whole);
      } finally {
        ctcLimits.bytes = bytes;
        keptLimit.bytes = kept;
      }
    }
  });

  test.each([
    ['more classes than the target has labels', [30, 4, 40]],
    ['fewer', [30, 4, 5]],
  ])('the gradient is the same whether it is made with the losses or later, with %s', async (_name, shape) => {
    const x = random(16).normal(shape).to(device());
    const weights = tensor([1, -2, 0, 0.25]).to(device());
    const targets = [[1, 2, 2, 3, 1, 4], [4], [3, 1], [1, 1, 1]];
    const both = async () => {
      const f = (t: Tensor) => ctcLoss(t, targets, [30, 20, 25, 2], undefined, { from: 'logits', zeroInfinity: true });
      const [loss, gradient] = valueAndGrad((t: Tensor) => sum(f(t).mul(weights)))(x);
      return [...(await loss.data()), ...(await gradient.data())];
    };
    const later = await both();
    expect(later.some((value) => value !== 0)).toBe(true);
    const { bytes } = keptLimit;
    keptLimit.bytes = 0;
    try {
      expect(await both()).toEqual(later);
    } finally {
      keptLimit.bytes = bytes;
    }
  });

  test('second derivatives of a target longer than a group of threads', async () => {
    const target = Array.from({ length: 300 }, (_, i) => 1 + (i % 3));
    const [x, v] = [random(14).normal([330, 1, 4]), random(15).normal([330, 1, 4])];
    const f = (t: Tensor) => ctcLoss(t, [target], [330], [300], { from: 'logits', reduction: 'sum' });
    const along = (w: Tensor) => (t: Tensor) => sum(grad(f)(t).mul(w));
    const want = Array.from(grad(along(cast(v, 'float64')))(cast(x, 'float64')).dataSync());
    expectClose(
      await grad(along(v.to(device())))(x.to(device())).data(),
      want,
      0,
      1e-4 * Math.max(...want.map(Math.abs)),
    );
  });
}
