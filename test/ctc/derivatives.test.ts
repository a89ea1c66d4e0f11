import {
  ctcLoss,
  ctcPosterior,
  grad,
  gradCheck,
  hessian,
  hvp,
  logSoftmax,
  random,
  tensor,
  type Tensor,
} from 'tapegrad';
import { worst } from './reference.js';

describe('derivatives', () => {
  const small = random(13).normal([6, 3, 4], { dtype: 'float64' });
  const targets = [[1, 2], [3, 3], []];
  const lengths = [6, 5, 3];

  test.each(['logits', 'logProbs'] as const)('second order from %s', (from) => {
    gradCheck((x) => ctcLoss(x, targets, lengths, undefined, { from }), [small], { order: 2, tolerance: 1e-6 });
  });

  test('second order through logSoftmax, and of the posterior', () => {
    gradCheck((x) => ctcLoss(logSoftmax(x), targets, lengths), [small], { order: 2, tolerance: 1e-6 });
    gradCheck((x) => ctcPosterior(x, targets, lengths), [small], { order: 1, tolerance: 1e-6 });
  });

  test('Hessians are symmetric and agree with hvp', () => {
    const x = random(14).normal([4, 1, 3], { dtype: 'float64' });
    const f = (t: Tensor): Tensor => ctcLoss(t, [[1, 2]], [4], undefined, { from: 'logits' }).sum();
    const h = hessian(f)(x).reshape([12, 12]);
    expect(worst(h.dataSync(), h.transpose().dataSync())).toBeLessThan(1e-14);
    const v = random(15).normal([4, 1, 3], { dtype: 'float64' });
    expect(worst(hvp(f, x, v).dataSync(), h.matmul(v.reshape([12, 1])).dataSync())).toBeLessThan(1e-13);
  });

  test('third derivatives throw instead of being 0', () => {
    const f = (t: Tensor): Tensor => ctcLoss(t, [[1, 2]], [6], undefined, { from: 'logits' }).sum();
    const x = random(16).normal([6, 1, 4], { dtype: 'float64' });
    const second = (t: Tensor): Tensor => grad((u: Tensor) => grad(f)(u).square().sum())(t).sum();
    expect(() => grad(second)(x)).toThrow(/\[ctcLoss\] third derivatives/);
  });

  test('impossible sequences and frames past the end have second derivative 0, NaN stays in its sequence', () => {
    const values = random(17).normal([4, 3, 3], { dtype: 'float64' }).dataSync();
    values[1 * 9 + 2 * 3] = NaN;
    values[3 * 9] = NaN;
    const x = tensor(values, { shape: [4, 3, 3] });
    const product = hvp(
      (t: Tensor) => ctcLoss(t, [[1], [1, 1, 1], [2]], [3, 4, 4], undefined, { from: 'logits' }).sum(),
      x,
      random(18).normal([4, 3, 3], { dtype: 'float64' }),
    ).arraySync<number[][][]>();
    product.forEach((frame, t) => {
      expect(frame[0]!.every((g) => (t < 3 ? Number.isFinite(g) && g !== 0 : g === 0))).toBe(true);
      expect(frame[1]!.every((g) => g === 0)).toBe(true);
      expect(frame[2]!.every(Number.isNaN)).toBe(true);
    });
  });
});
