import { concat, grad, memory, random, resetPeakMemory, scope, type Tensor } from 'tapegrad';
import { FakeGpu } from './fake.js';

/*
 * What test/autograd/peak.test.ts asserts of the CPU, of a GPU's memory: a backward pass gives back as it goes, to the pool. Metal and WebGPU
 * have the same pool.
 */

const gpu = new FakeGpu();
const source = random(0);
const KIB = 2 ** 10;
/** Blocks come in sizes in steps of an eighth. */
const ROUNDING = 1.125;

const peakOf = (x: Tensor, run: () => unknown): number => {
  resetPeakMemory(x.device);
  const before = memory(x.device).peakBytes;
  run();
  return memory(x.device).peakBytes - before;
};

const recurrence =
  (frames: number) =>
  (x: Tensor): Tensor => {
    let h = x.slice([0, 1]);
    for (let t = 1; t < frames; t++)
      h = x
        .slice([t, t + 1])
        .add(h.mul(0.5))
        .tanh();
    return h.sum();
  };

const WORKS: Readonly<Record<string, readonly [shape: readonly number[], run: (x: Tensor) => Tensor]>> = {
  'a recurrence over slices': [[200, 256], recurrence(200)],
  'concat of many results': [
    [400, 256],
    (x) =>
      concat(Array.from({ length: 400 }, (_, t) => x.slice([t, t + 1]).tanh()))
        .square()
        .sum(),
  ],
  'a long chain of large values': [
    [300, 300],
    (x) =>
      Array.from({ length: 20 })
        .reduce((y: Tensor) => y.tanh().mul(x), x)
        .sum(),
  ],
};

test.each(Object.entries(WORKS))('%s', (_name, [shape, run]) => {
  const here = source.normal(shape);
  const there = source.normal(shape, { device: gpu });
  const [forward, backward] = [peakOf(there, () => scope(() => run(there))), peakOf(there, () => grad(run)(there))];
  const gradient = there.size * 4;
  expect(forward).toBeGreaterThan(2 * gradient); // the work is large enough to show something
  expect(backward - gradient).toBeLessThan(1.3 * forward + 64 * KIB);
  // The CPU keeps a copy of the input beside it, a GPU does not.
  expect(backward).toBeLessThan(ROUNDING * peakOf(here, () => grad(run)(here)) + 64 * KIB);
});

test('twice as many frames need at most twice as much', () => {
  const [short, long] = [200, 400].map((frames) => {
    const x = source.normal([frames, 256], { device: gpu });
    return peakOf(x, () => grad(recurrence(frames))(x));
  });
  expect(long).toBeLessThan(2 * short! + 64 * KIB);
});

test('a second derivative, where everything of the first stays', () => {
  const run = (x: Tensor): Tensor =>
    grad((t: Tensor) =>
      t
        .slice([0, 50])
        .mul(t.slice([50, 100]))
        .tanh()
        .sum(),
    )(x)
      .square()
      .sum();
  const [here, there] = [source.normal([100, 256]), source.normal([100, 256], { device: gpu })];
  const onGpu = peakOf(there, () => grad(run)(there));
  expect(onGpu).toBeLessThan(ROUNDING * peakOf(here, () => grad(run)(here)) + 64 * KIB);
});
