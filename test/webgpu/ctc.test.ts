/** ctcLoss on the 'webgpu' device. */
import { cast, ctcLoss, random, sum, tensor, type Tensor, valueAndGrad } from 'tapegrad';
import { ctcSuite } from '../gpu/ctc.suite.js';
import { suiteOnDevice } from './harness.js';

suiteOnDevice('ctcLoss on webgpu', ctcSuite, true);

suiteOnDevice('what CTC must do, on webgpu', (device) => {
  type Options = NonNullable<Parameters<typeof ctcLoss>[4]>;

  /** Losses and gradients under cotangents of both signs, beside the CPU's in float64. */
  async function compare(
    x: Tensor,
    targets: readonly (readonly number[])[],
    frames: readonly number[],
    options: Options,
    error = 2e-6,
  ): Promise<{ losses: ArrayLike<number>; gradient: ArrayLike<number> }> {
    const lengths = targets.map(({ length }) => length);
    const weights = tensor(targets.map((_, n) => (n % 2 === 0 ? 1.5 : -0.75)));
    const f = (w: Tensor) => (t: Tensor) => {
      const losses = ctcLoss(t, targets, frames, lengths, { zeroInfinity: true, ...options });
      return [sum(losses.mul(w)), losses] as const;
    };
    const [[, want], wantGradient] = valueAndGrad(f(cast(weights, 'float64')), { hasAux: true })(cast(x, 'float64'));
    const [[, got], gotGradient] = valueAndGrad(f(weights.to(device())), { hasAux: true })(x.to(device()));
    const [losses, gradient] = [await got.data(), await gotGradient.data()];
    want.dataSync().forEach((value, n) => {
      if (!Number.isFinite(value)) expect(losses[n]).toBe(value);
      else expect(Math.abs(losses[n]! - value)).toBeLessThanOrEqual(2e-6 * Math.abs(value) + 2e-6);
    });
    let worst = 0;
    wantGradient.dataSync().forEach((value, i) => {
      if (Number.isNaN(value)) expect(gradient[i]).toBeNaN();
      else worst = Math.max(worst, Math.abs(gradient[i]! - value));
    });
    expect(worst).toBeLessThanOrEqual(error);
    return { losses, gradient };
  }

  const label = (count: number, classes: number, step = 7): number[] =>
    Array.from({ length: count }, (_, i) => 1 + ((i * step) % (classes - 1)));

  test.each(['logits', 'logProbs'] as const)('two thousand labels, from %s', async (from) => {
    await compare(random(1).normal([2100, 2, 9]), [label(2000, 9), label(700, 9, 5)], [2100, 1500], { from }, 4e-6);
  });

  // A thread for each label and one for the last blank, in groups of whole 32s, up to what the adapter allows (256 or more).
  test.each([31, 32, 255, 256, 1023, 1024])('%d labels', async (count) => {
    const frames = count + 40;
    await compare(random(2).normal([frames, 1, 12]), [label(count, 12)], [frames], { from: 'logits' }, 4e-6);
  });

  test('fifty thousand classes', async () => {
    await compare(
      random(3).normal([6, 2, 50_000]).mul(3),
      [
        [49_999, 1, 1],
        [2047, 2048],
      ],
      [6, 4],
      { from: 'logits' },
    );
  });

  test('the last class as the blank, and one in the middle', async () => {
    for (const blank of [4, 2])
      await compare(random(4).normal([20, 3, 5]), [[0, 1, 1], [], [3]], [20, 9, 1], { from: 'logits', blank });
  });

  test('targets without labels, inputs without frames, targets that do not fit', async () => {
    const targets = [[], [1], [], [2, 2, 2], [1, 2]];
    const { losses, gradient } = await compare(random(5).normal([5, 5, 4]), targets, [0, 0, 5, 4, 5], {
      from: 'logits',
      zeroInfinity: false,
    });
    expect(Array.from(losses)).toEqual([0, Infinity, expect.any(Number), Infinity, expect.any(Number)]);
    // Frames past the end, and sequences that have no alignment, are left alone to the last bit.
    for (let t = 0; t < 5; t++)
      for (const n of t === 4 ? [0, 1, 3] : [0, 1])
        for (let c = 0; c < 4; c++) expect(gradient[(t * 5 + n) * 4 + c]).toBe(0);
  });

  test('minus infinity makes a target impossible, or only a path; NaN stays in its sequence; frames past the end are not read', async () => {
    const [frames, batch, classes] = [8, 4, 4];
    const data = Float32Array.from(random(6).normal([frames, batch, classes]).dataSync());
    const set = (t: number, n: number, c: number, value: number): void => {
      data[(t * batch + n) * classes + c] = value;
    };
    for (let t = 0; t < frames; t++) set(t, 0, 2, -Infinity);
    set(3, 1, 1, -Infinity);
    set(2, 2, 3, NaN);
    for (let t = 5; t < frames; t++) for (let c = 0; c < classes; c++) set(t, 3, c, c % 2 ? NaN : Infinity);
    const x = tensor(data, { shape: [frames, batch, classes] });
    for (const from of ['logits', 'logProbs'] as const) {
      const { losses, gradient } = await compare(x, [[1, 2], [1, 3], [3], [1, 2]], [8, 8, 8, 5], {
        from,
        zeroInfinity: false,
      });
      for (let t = 0; t < frames; t++)
        for (const n of t < 5 ? [0] : [0, 3])
          for (let c = 0; c < classes; c++) expect(gradient[(t * batch + n) * classes + c]).toBe(0);
      expect([losses[0], losses[2]]).toEqual([Infinity, NaN]);
      expect([losses[1], losses[3]].every(Number.isFinite)).toBe(true);
    }
  });

  test('logits hundreds apart, and certain ones, keep their digits', async () => {
    await compare(random(7).normal([40, 2, 6]).mul(200), [label(12, 6), label(5, 6)], [40, 31], { from: 'logits' });
    for (const seed of [20, 21, 22, 23]) {
      const targets = Array.from({ length: 6 }, (_, n) => label(12, 32, 3 + 2 * n));
      await compare(random(seed).normal([60, 6, 32]).mul(80), targets, [60, 57, 54, 51, 48, 45], { from: 'logits' });
    }
    const sure = new Float32Array(30 * 4);
    for (let t = 0; t < 30; t++) sure[t * 4 + (t % 3 === 0 ? 1 + ((t / 3) % 3) : 0)] = 12;
    const target = Array.from({ length: 10 }, (_, i) => 1 + (i % 3));
    const { losses } = await compare(tensor(sure, { shape: [30, 1, 4] }), [target], [30], { from: 'logits' });
    expect(losses[0]).toBeGreaterThan(0);
  });
});
