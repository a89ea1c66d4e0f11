import {
  ctcLoss,
  ctcStatistics,
  hvp,
  random,
  resetCtcStatistics,
  setThreads,
  tensor,
  type Tensor,
  vjp,
} from 'tapegrad';
import { warmThreads } from '../../src/backends/cpu/pool.js';

afterAll(() => {
  setThreads(1);
});

describe('tiers and threads', () => {
  test('statistics tell which tier took what', () => {
    resetCtcStatistics();
    ctcLoss(random(19).normal([8, 3, 4]), [[1, 2], [1, 1, 1, 1, 1], [3]], [8, 8, 8], undefined, { from: 'logits' });
    expect(ctcStatistics()).toEqual({ lengths: 1, linear: 2, log: 0 });
    // Certain of the wrong class, with no float64 range to say how unlikely the rest is.
    const wrong = tensor(Array.from({ length: 40 }, () => [500, 0, 0]));
    ctcLoss(
      wrong,
      new Array<number>(10).fill(0).map((_, i) => 1 + (i % 2)),
      undefined,
      undefined,
      { from: 'logits' },
    );
    ctcLoss(random(20).normal([5, 4], { dtype: 'float64' }), [1]);
    expect(ctcStatistics()).toEqual({ lengths: 1, linear: 2, log: 2 });
  });

  test('any number of threads gives the same bits', async () => {
    const [frames, batch, classes] = [160, 48, 24];
    const rng = random(21);
    const x = rng.normal([frames, batch, classes]);
    const inputLengths = Array.from({ length: batch }, () => rng.integer(80, frames + 1));
    const targets = inputLengths.map(() => Array.from({ length: rng.integer(0, 40) }, () => rng.integer(1, classes)));
    const f = (t: Tensor): Tensor => ctcLoss(t, targets, inputLengths, undefined, { from: 'logits' });
    const short = x.slice([0, 20]);
    const solveAll = (): string => {
      const [losses, gradient] = vjp(f, x, tensor(new Float32Array(batch).fill(1)));
      const product = hvp(
        (t: Tensor) =>
          ctcLoss(
            t,
            targets.map((list) => list.slice(0, 3)),
            undefined,
            undefined,
            { from: 'logits' },
          ).sum(),
        short,
        short,
      );
      return [losses, gradient, product].map((t) => Buffer.from(t.dataSync().buffer).toString('latin1')).join();
    };
    setThreads(1);
    const alone = solveAll();
    for (const n of [2, 3]) {
      setThreads(n);
      expect(await warmThreads()).toBe(n);
      for (let round = 0; round < 3; round++) expect(solveAll() === alone).toBe(true);
    }
  });
});
