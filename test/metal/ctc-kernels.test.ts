/**
 * The CTC kernels by themselves, against the textbook recursion in float64 logarithms: any lengths, any width of threadgroup, plain, in
 * checked mode and with the threads' order reversed.
 */
import type { MetalDevice, MetalMemory, Pipeline } from '../../src/backends/metal/device.js';
import { sourceOf } from '../../src/backends/gpu/programs.js';
import { metal } from '../../src/backends/metal/dialect.js';
import { metalTests, openDevice, ORDER, type Setting, softLibrary, softTests, withSettings } from './harness.js';

const source = sourceOf(metal, 'ctc/loss');

interface Problem {
  readonly times: number;
  readonly classes: number;
  readonly x: Float32Array; // [times, batch, classes]
  readonly targets: readonly (readonly number[])[];
  readonly inputLengths: readonly number[];
  readonly fromLogits: boolean;
}

interface Result {
  readonly losses: number[];
  readonly grad: number[];
}

const logSumExp = (values: readonly number[]): number => {
  const top = Math.max(...values);
  return top === -Infinity ? top : top + Math.log(values.reduce((sum, v) => sum + Math.exp(v - top), 0));
};

/** alpha and beta over the extended target, in float64 logarithms. */
function reference({ times, classes, x, targets, inputLengths, fromLogits }: Problem): Result {
  const batch = targets.length;
  const losses: number[] = [];
  const grad = new Array<number>(times * batch * classes).fill(0);
  targets.forEach((target, n) => {
    const frames = inputLengths[n]!;
    const raw = Array.from({ length: frames }, (_, t) =>
      Array.from(x.subarray((t * batch + n) * classes, (t * batch + n + 1) * classes)),
    );
    const logProbs = raw.map((row) => {
      const norm = fromLogits ? logSumExp(row) : 0;
      return row.map((v) => v - norm);
    });
    const states = [0, ...target.flatMap((label) => [label, 0])];
    const skips = states.map((label, s) => s > 1 && label !== 0 && label !== states[s - 2]);
    const alpha: number[][] = [states.map((_, s) => (s === 0 ? 0 : -Infinity))];
    for (let t = 0; t < frames; t++) {
      const last = alpha[t]!;
      // A virtual frame before the first: one may enter the first blank or the first label.
      const from = (s: number): number[] => [
        last[s]!,
        ...(s > 0 ? [last[s - 1]!] : []),
        ...(skips[s] ? [last[s - 2]!] : []),
      ];
      alpha.push(
        states.map((label, s) => logSumExp(t === 0 ? [s < 2 ? 0 : -Infinity] : from(s)) + logProbs[t]![label]!),
      );
    }
    let beta = states.map((_, s) => (s >= states.length - 2 ? 0 : -Infinity));
    const end = alpha[frames]!;
    const logP =
      frames === 0
        ? target.length === 0
          ? 0
          : -Infinity
        : logSumExp(states.length > 1 ? [end[states.length - 1]!, end[states.length - 2]!] : [end[0]!]);
    const poisoned = raw.some((row) => row.some(Number.isNaN));
    losses.push(poisoned ? NaN : -logP);
    for (let t = frames - 1; t >= 0; t--) {
      const row = (t * batch + n) * classes;
      for (let c = 0; c < classes; c++) {
        const posterior = states.reduce(
          (sum, label, s) => (label === c ? sum + Math.exp(alpha[t + 1]![s]! + beta[s]! - logP) : sum),
          0,
        );
        const softmax = fromLogits ? Math.exp(logProbs[t]![c]!) : 0;
        grad[row + c] = poisoned ? NaN : logP === -Infinity ? 0 : softmax - posterior;
      }
      const next = beta.map((b, s) => b + logProbs[t]![states[s]!]!);
      beta = states.map((_, s) =>
        logSumExp([
          next[s]!,
          ...(s + 1 < states.length ? [next[s + 1]!] : []),
          ...(skips[s + 2] ? [next[s + 2]!] : []),
        ]),
      );
    }
  });
  return { losses, grad };
}

interface Layout {
  readonly width?: number;
  readonly lanes?: number;
  readonly byClass?: boolean;
}

class Kernels {
  private readonly pipelines: Readonly<Record<'ctcEmit' | 'ctcRecursion' | 'ctcGrad', Pipeline>>;
  constructor(private readonly device: MetalDevice) {
    const library = device.library(source);
    this.pipelines = {
      ctcEmit: library.pipeline('ctcEmit'),
      ctcRecursion: library.pipeline('ctcRecursion'),
      ctcGrad: library.pipeline('ctcGrad'),
    };
    library.release();
  }

  release(): void {
    for (const pipeline of Object.values(this.pipelines)) pipeline.release();
  }

  run(
    { times, classes, x, targets, inputLengths, fromLogits }: Problem,
    { width = 256, lanes = 32, byClass = false }: Layout = {},
  ): Result {
    const { device, pipelines } = this;
    const batch = targets.length;
    const longest = Math.max(1, ...targets.map((t) => t.length));
    const slots = byClass ? classes : 1 + longest;
    const made: MetalMemory[] = [];
    const room = (length: number): { memory: MetalMemory; offset: number } => {
      made.push(device.buffer(4 * Math.max(1, length)));
      return { memory: made[made.length - 1]!, offset: 0 };
    };
    const filled = (
      data: ArrayLike<number>,
      type: Float32ArrayConstructor | Int32ArrayConstructor,
    ): { memory: MetalMemory; offset: number } => {
      const place = room(data.length);
      new type(place.memory.view).set(data);
      return place;
    };
    const padded = targets.flatMap((t) => [...t, ...new Array<number>(longest - t.length).fill(-1)]);
    const input = filled(x, Float32Array);
    const lattice = filled([...inputLengths, ...targets.map((t) => t.length), ...padded], Int32Array);
    const [emissions, frames, norms] = [room(batch * times * slots * 2), room(batch * times), room(times * batch * 2)];
    const [states, losses, totals, memory] = [
      room(2 * batch * times * longest * 2),
      room(batch),
      room(batch * 4),
      room(batch * 2 * 3 * (longest + 1) * 2),
    ];
    const grad = room(times * batch * classes);
    // Powers of two: the gradient is divided by them again, to the bit.
    const cotangents = Float32Array.from({ length: batch }, (_, n) => (n % 2 === 0 ? -4 : 0.5));
    const scale = filled(cotangents, Float32Array);
    const params = new Uint32Array([
      times,
      batch,
      classes,
      longest,
      0,
      fromLogits ? 1 : 0,
      0,
      batch,
      slots,
      byClass ? 1 : 0,
      lanes,
      2,
      0,
      1,
    ]);
    const rowGroups = Math.ceil((times * batch) / Math.max(1, Math.floor(width / Math.min(lanes, width)))) || 1;
    try {
      device
        .submit((encoder) => {
          encoder.dispatch(
            pipelines.ctcEmit,
            [input, lattice, emissions, frames, norms, params],
            [rowGroups, 1, 1],
            width,
          );
          encoder.dispatch(
            pipelines.ctcRecursion,
            [emissions, frames, lattice, states, losses, totals, memory, params],
            [2 * batch, 1, 1],
            width,
          );
          encoder.dispatch(
            pipelines.ctcGrad,
            [input, lattice, states, totals, norms, scale, grad, params],
            [rowGroups, 1, 1],
            width,
          );
        })
        .wait();
      return {
        losses: Array.from(new Float32Array(losses.memory.view, 0, batch)),
        grad: Array.from(
          new Float32Array(grad.memory.view, 0, times * batch * classes),
          (g, i) => g / cotangents[Math.floor(i / classes) % batch]!,
        ),
      };
    } finally {
      for (const memory_ of made) memory_.release();
    }
  }
}

/** Reproducible numbers in [0, 1). */
function uniform(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

function random(
  seed: number,
  times: number,
  batch: number,
  classes: number,
  longest: number,
  fromLogits: boolean,
  spread = 4,
): Problem {
  const next = uniform(seed);
  const x = Float32Array.from({ length: times * batch * classes }, () => (next() - 0.5) * spread);
  const targets = Array.from({ length: batch }, () =>
    Array.from({ length: Math.floor(next() * (longest + 1)) }, () => 1 + Math.floor(next() * (classes - 1))),
  );
  const inputLengths = targets.map(() => Math.floor(times * (0.5 + next() / 2)));
  return { times, classes, x, targets, inputLengths, fromLogits };
}

// A GPU's exponentials are right to a few units in the last place, the software device's are rounded well.
const SLACK = process.platform === 'darwin' ? 4 : 1;

function expectClose(got: Result, want: Result, tolerance = 3e-6): void {
  want.losses.forEach((loss, n) => {
    if (Number.isFinite(loss))
      expect(Math.abs(got.losses[n]! - loss)).toBeLessThanOrEqual(SLACK * (2e-6 * Math.abs(loss) + 2e-6));
    else expect(got.losses[n]).toBe(loss);
  });
  const top = Math.max(1e-30, ...want.grad.filter(Number.isFinite).map(Math.abs));
  let worst = 0;
  want.grad.forEach((g, i) => {
    if (Number.isNaN(g)) expect(got.grad[i]).toBeNaN();
    else worst = Math.max(worst, Number.isFinite(got.grad[i]) ? Math.abs(got.grad[i]! - g) / top : Infinity);
  });
  expect(worst).toBeLessThanOrEqual(SLACK * tolerance);
}

function suite(settings: Partial<Record<Setting, number>>): void {
  let device: MetalDevice;
  let kernels: Kernels;
  const here = async <T>(body: () => T): Promise<T> =>
    softLibrary === undefined ? body() : withSettings(settings, body);
  beforeAll(async () => {
    device = await openDevice();
    kernels = await here(() => new Kernels(device));
  });
  afterAll(() => {
    kernels.release();
    device.close();
  });
  const check = async (problem: Problem, layout?: Layout): Promise<void> => {
    expectClose(await here(() => kernels.run(problem, layout)), reference(problem));
  };

  test.each([true, false])('a ragged batch, from logits: %s', async (fromLogits) => {
    for (let seed = 1; seed <= 4; seed++) await check(random(seed, 24, 5, 7, 8, fromLogits));
  });

  test.each([
    { width: 32 },
    { width: 48, lanes: 16 },
    { width: 100, lanes: 32 },
    { width: 256, lanes: 256 },
    { width: 7, lanes: 3 },
    { width: 64, byClass: true },
    { width: 1, lanes: 1 },
  ])('any width: %p', async (layout) => {
    await check(random(11, 18, 3, 9, 6, true), layout);
    await check(random(12, 18, 3, 9, 6, false), layout);
  });

  test('more labels than threads', async () => {
    await check(random(21, 60, 2, 6, 25, true), { width: 8, lanes: 8 });
    await check(random(22, 60, 2, 6, 25, true), { width: 8, lanes: 8, byClass: true });
  });

  test('logits that differ by hundreds, and log-probabilities that are not normalised', async () => {
    await check(random(31, 30, 3, 8, 9, true, 400));
    await check(random(32, 30, 3, 8, 9, false, 200));
  });

  test('impossible targets: too short, and by minus infinity', async () => {
    const problem = random(41, 6, 4, 5, 3, false);
    const x = problem.x.slice();
    for (let t = 0; t < 6; t++) x[(t * 4 + 2) * 5 + 3] = -Infinity;
    const got: Problem = { ...problem, x, targets: [[1, 1, 1, 1], [1, 2, 3], [3], []], inputLengths: [6, 2, 6, 5] };
    await check(got);
    const { losses } = await here(() => kernels.run(got));
    expect(losses.slice(0, 3)).toEqual([Infinity, Infinity, Infinity]);
  });

  test('no frames, no labels', async () => {
    const problem = { ...random(51, 4, 3, 4, 2, true), targets: [[], [1], [2, 2]], inputLengths: [0, 0, 3] };
    await check(problem);
    expect((await here(() => kernels.run(problem))).losses.slice(0, 2)).toEqual([0, Infinity]);
  });

  test.each([true, false])(
    'a NaN stays in its sequence, and frames past the end are not looked at; from logits: %s',
    async (fromLogits) => {
      const problem = random(61, 10, 3, 5, 3, fromLogits);
      const x = problem.x.slice();
      x[(2 * 3 + 1) * 5 + 4] = NaN;
      for (let t = 6; t < 10; t++) for (let c = 0; c < 5; c++) x[(t * 3 + 2) * 5 + c] = NaN;
      await check({ ...problem, x, targets: [[1, 2], [3], [4, 4]], inputLengths: [10, 8, 6] });
    },
  );

  test('a certain net: the loss keeps its last digits and is not negative', async () => {
    const x = new Float32Array(6 * 2 * 4).fill(-9);
    [1, 0, 2, 0, 3, 0].forEach((label, t) => {
      x[t * 2 * 4 + label] = 9;
      x[(t * 2 + 1) * 4 + label] = 60;
    });
    const problem: Problem = {
      times: 6,
      classes: 4,
      x,
      targets: [
        [1, 2, 3],
        [1, 2, 3],
      ],
      inputLengths: [6, 6],
      fromLogits: true,
    };
    const { losses } = await here(() => kernels.run(problem));
    const want = reference(problem).losses;
    losses.forEach((loss, n) => {
      expect(loss).toBeGreaterThanOrEqual(0);
      expect(Math.abs(loss - want[n]!)).toBeLessThan(1e-6);
    });
  });

  test('classes by the thousand', async () => {
    await check(random(71, 6, 2, 2600, 4, true), { lanes: 256 });
  });
}

metalTests('the CTC kernels', () => {
  suite({});
});
softTests('the CTC kernels, checked', () => {
  suite({ checked: 1 });
});
softTests('the CTC kernels, threads in reverse', () => {
  suite({ order: ORDER.reverse });
});

metalTests('the CTC kernels at size', () => {
  test.each([
    [150, 1100],
    [600, 120],
  ])('a target of %i labels and a frame count of %i take the walk that fits', async (longest, times) => {
    const device = await openDevice();
    const kernels = new Kernels(device);
    const next = uniform(5);
    const frames = Math.max(times, longest * 2);
    const targets = [Array.from({ length: longest }, () => 1 + Math.floor(next() * 9))];
    const x = Float32Array.from({ length: frames * 10 }, () => next() * 3);
    const problem: Problem = { times: frames, classes: 10, x, targets, inputLengths: [frames], fromLogits: true };
    // Rounding adds up over thousands of frames.
    expectClose(kernels.run(problem, { lanes: 32 }), reference(problem), 8e-6);
    kernels.release();
    device.close();
  });
});
