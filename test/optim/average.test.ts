import {
  grad,
  loadSafetensors,
  mapTensors,
  nn,
  optim,
  random,
  relu,
  restoreTree,
  saveSafetensors,
  scope,
  tensor,
  type Tensor,
  tensorsOf,
} from 'tapegrad';
import { expectClose, wave } from '../nn/wave.js';

const at = (step: number): { w: Tensor; rest: readonly [Tensor, null] } => ({
  w: wave([2, 2], 0.3 + 1.3 * step),
  rest: [wave([3], step, 5), null],
});
const flat = (tree: unknown): number[] => tensorsOf(tree).flatMap((t) => Array.from(t.dataSync()));

describe('ema', () => {
  test.each([0, 0.5, 0.9, 0.999])('with decay %d is the weighted mean of what it was given', (decay) => {
    const ema = optim.ema({ decay });
    let averaged = ema.init(at(0));
    expect(flat(averaged.average)).toEqual(flat(at(0)));
    for (let n = 1; n <= 12; n++) {
      averaged = ema.update(averaged, at(n));
      // Straight from the definition: optax's average that starts at 0, over what its weights sum up to.
      const weights = Array.from({ length: n }, (_, i) => decay ** (n - 1 - i));
      const total = weights.reduce((a, b) => a + b);
      const expected = flat(at(0)).map((_, e) =>
        weights.reduce((sum, weight, i) => sum + (weight / total) * flat(at(i + 1))[e]!, 0),
      );
      flat(averaged.average).forEach((value, e) => {
        expect(value).toBeCloseTo(expected[e]!, 10);
      });
      expect(averaged.step.itemSync()).toBe(n);
    }
  });

  test('not debiased it starts from the parameters, as torch does', () => {
    const ema = optim.ema({ decay: 0.9, debias: false });
    let averaged = ema.init(at(0));
    let expected = flat(at(0));
    for (let n = 1; n <= 5; n++) {
      averaged = ema.update(averaged, at(n));
      expected = expected.map((value, e) => 0.9 * value + 0.1 * flat(at(n))[e]!);
    }
    flat(averaged.average).forEach((value, e) => {
      expect(value).toBeCloseTo(expected[e]!, 12);
    });
  });

  test('keeps narrow floats in float32, and takes integers over', () => {
    const ema = optim.ema({ decay: 0.999 });
    const make = (value: number): { half: Tensor; count: Tensor } => ({
      half: tensor([value], { dtype: 'bfloat16' }),
      count: tensor(Math.round(value), { dtype: 'int32' }),
    });
    let averaged = ema.init(make(1));
    for (let n = 0; n < 2000; n++) averaged = scope(() => ema.update(averaged, make(n < 1000 ? 1 : 2)));
    expect([averaged.average.half.dtype, averaged.average.count.dtype]).toEqual(['float32', 'int32']);
    expect(averaged.average.count.itemSync()).toBe(2);
    expect(averaged.average.half.itemSync()).toBeCloseTo(1 + (1 - 0.999 ** 1000) / (1 - 0.999 ** 2000), 3);
  });

  test('is saved with the rest, is what one evaluates with, and goes on to the bit', async () => {
    const model = nn.sequential(nn.linear(4, 8), relu, nn.linear(8, 2));
    const optimizer = optim.adam({ learningRate: 0.05 });
    const ema = optim.ema({ decay: 0.8 });
    const start = () => {
      const params = model.init(random(3));
      return { params, state: optimizer.init(params), averaged: ema.init(params) };
    };
    type Run = ReturnType<typeof start>;
    const x = random(4).normal([16, 4]);
    const lossOf = (params: Run['params']): Tensor =>
      model
        .apply(params, x)
        .sub(x.slice([], [0, 2]))
        .square()
        .mean();
    const advance = (run: Run, steps: number): Run => {
      for (let i = 0; i < steps; i++) {
        const next = optimizer.update(run.params, grad(lossOf)(run.params), run.state);
        run = { ...next, averaged: ema.update(run.averaged, next.params) };
      }
      return run;
    };
    const whole = advance(start(), 9);
    const half = loadSafetensors(await saveSafetensors(advance(start(), 4)));
    const resumed = advance(restoreTree(start(), half.tensors), 5);
    expect(await saveSafetensors(resumed)).toEqual(await saveSafetensors(whole));
    const loss = lossOf(whole.averaged.average).itemSync();
    expect(loss).toBeLessThan(lossOf(start().params).itemSync());
    expect(loss).not.toBe(lossOf(whole.params).itemSync());
  });

  test.each<[() => unknown, string]>([
    [() => optim.ema({ decay: 1 }), '[ema] decay is 1; it must be in [0, 1)'],
    [() => optim.ema({} as never), '[ema] decay is undefined; it must be in [0, 1)'],
    [() => optim.ema(0.9 as never), '(write { decay: 0.9 })'],
    [() => optim.ema({ decay: 0.5 }).update({} as never, at(0)), '[ema] the state is an object; call update('],
    [
      () => optim.ema({ decay: 0.5 }).update(optim.ema({ decay: 0.5 }).init(at(0)), { ...at(0), w: tensor([1]) }),
      "[ema] '.w' is [1], its mean [2, 2]",
    ],
    [
      () => optim.ema({ decay: 0.5 }).update(optim.ema({ decay: 0.5 }).init(at(0)), { w: at(0).w } as never),
      '[ema] the parameters have nothing at .rest, where the mean has an array',
    ],
  ])('bad input %#', (call, message) => {
    expect(call).toThrow(message);
  });
});

describe('accumulate', () => {
  const model = nn.sequential(nn.linear(5, 7), relu, nn.linear(7, 3));
  const params = mapTensors((t) => t.cast('float64'), model.init(random(1)));
  type Params = typeof params;
  const x = random(2).normal([24, 5], { dtype: 'float64' });
  const lossOf = (p: Params, from: number, to: number): Tensor =>
    model
      .apply(p, x.slice([from, to]))
      .sub(x.slice([from, to], [0, 3]))
      .square()
      .mean();
  const gradientOf = (from: number, to: number): Params => grad((p: Params) => lossOf(p, from, to))(params);

  function together(cuts: readonly number[]): optim.Accumulated<Params> {
    let sum: optim.Accumulated<Params> | null = null;
    cuts.slice(1).forEach((to, i) => {
      sum = optim.accumulate(sum, gradientOf(cuts[i]!, to), to - cuts[i]!);
    });
    return sum!;
  }

  test.each([[[0, 24]], [[0, 6, 12, 18, 24]], [[0, 1, 3, 10, 24]]])('parts %j make the step of the whole', (cuts) => {
    const { gradients, weight } = together(cuts);
    const whole = gradientOf(0, 24);
    flat(gradients).forEach((value, i) => {
      expect(value).toBeCloseTo(flat(whole)[i]!, 14);
    });
    expect(weight.itemSync()).toBe(24);
    const optimizer = optim.adamw({ learningRate: 0.1 });
    const step = (g: Params): number[] => flat(optimizer.update(params, g, optimizer.init(params)).params);
    step(gradients).forEach((value, i) => {
      expect(value).toBeCloseTo(step(whole)[i]!, 9);
    });
  });

  test('float16 gradients are gathered in float32, and the optimizer takes them', () => {
    const narrow = { w: tensor([1, 2], { dtype: 'float16' }) };
    let sum: optim.Accumulated<typeof narrow> | null = null;
    for (let i = 0; i < 1000; i++) sum = optim.accumulate(sum, { w: tensor([2 ** -14, 1 + i], { dtype: 'float16' }) });
    expect(sum!.gradients.w.dtype).toBe('float32');
    expectClose(sum!.gradients.w, [2 ** -14, 500.5], 1e-3);
    const optimizer = optim.sgd({ learningRate: 2 ** -9 });
    const next = optimizer.update(narrow, sum!.gradients, optimizer.init(narrow));
    expect(next.params.w.dtype).toBe('float16');
    expectClose(next.params.w, [1, 2 - 500.5 / 512], 1e-3);
  });

  test('nothing is changed in place, and a half-done sum is saved and restored', async () => {
    const first = optim.accumulate(null, gradientOf(0, 8), 8);
    const before = flat(first.gradients);
    const file = loadSafetensors(await saveSafetensors(first)).tensors;
    const restored = restoreTree(optim.accumulate(null, params), file);
    const [a, b] = [first, restored].map((sum) => flat(optim.accumulate(sum, gradientOf(8, 24), 16).gradients));
    expect(a).toEqual(b);
    expect(flat(first.gradients)).toEqual(before);
  });

  test.each<[() => unknown, string]>([
    [() => optim.accumulate(null, params, 0), '[accumulate] weight is 0; it must be positive'],
    [() => optim.accumulate(null, params, NaN), '[accumulate] weight is NaN'],
    [() => optim.accumulate({} as never, params), '[accumulate] the state is an object; call accumulate('],
    [
      () => optim.accumulate(optim.accumulate(null, { w: tensor([1]) }), { w: tensor([1, 2]) }),
      "[accumulate] '.w' is [2], its mean [1]",
    ],
  ])('bad input %#', (call, message) => {
    expect(call).toThrow(message);
  });
});
