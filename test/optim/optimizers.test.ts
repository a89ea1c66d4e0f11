import {
  concat,
  DTypeError,
  loadSafetensors,
  optim,
  restoreTree,
  saveSafetensors,
  tensor,
  type Tensor,
} from 'tapegrad';
import { expectClose, wave } from '../nn/wave.js';

/* The constants are the parameters after four steps of torch 1.13's optimizers in float64, on the same waves. */

interface Params {
  a: Tensor;
  rest: [Tensor];
}

const start = (): Params => ({ a: wave([3], 0.3), rest: [wave([2], 0.9)] });
const gradientsAt = (step: number): Params => ({ a: wave([3], 1.1 + step, 2), rest: [wave([2], 2.2 - step, 0.5)] });
const flat = ({ a, rest }: Params): Tensor => concat([a, rest[0]]);

const optimizers: [string, optim.Sgd | optim.Adam, number[]][] = [
  ['sgd', optim.sgd({ learningRate: 0.1 }), [0.099976151, 0.901308329, 1.27874112, 0.722234473, 0.906121458]],
  [
    'sgd with momentum',
    optim.sgd({ learningRate: 0.1, momentum: 0.9 }),
    [-0.637456922, 0.421833927, 1.28272969, 0.535008875, 0.760786633],
  ],
  [
    'sgd, Nesterov, weight decay',
    optim.sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.05 }),
    [-0.730324243, 0.494223916, 1.48633084, 0.458519867, 0.63571894],
  ],
  ['adam', optim.adam({ learningRate: 0.1 }), [-0.00592896236, 0.649474453, 0.974521179, 0.464114702, 0.64601425]],
  [
    'adam with everything',
    optim.adam({ learningRate: 0.1, betas: [0.8, 0.95], eps: 1e-6, weightDecay: 0.05 }),
    [0.00944801217, 0.6671856, 0.98682864, 0.468837175, 0.636275428],
  ],
  [
    'adamw',
    optim.adamw({ learningRate: 0.1, weightDecay: 0.05 }),
    [-0.00890951006, 0.635264565, 0.956314224, 0.451489305, 0.629015016],
  ],
];

/** Sgd and Adam differ only in the type of their state. */
function run(
  optimizer: optim.Sgd | optim.Adam,
  steps: number,
  prepare: (params: Params) => Params = (params) => params,
): { params: Params; state: optim.OptimizerState } {
  const either = optimizer as optim.Adam;
  let params = prepare(start());
  let state = either.init(params);
  for (let step = 0; step < steps; step++)
    ({ params, state } = either.update(params, prepare(gradientsAt(step)), state));
  return { params, state };
}

describe('optimizers', () => {
  test.each(optimizers)('%s makes the steps that torch makes', (_, optimizer, expected) => {
    const { params, state } = run(optimizer, 4);
    expectClose(flat(params), expected);
    expect(state.step.itemSync()).toBe(4);
    expect(state.step.dtype).toBe('int32');
  });

  test.each(optimizers)('%s in float32', (_, optimizer, expected) => {
    const single = (params: Params): Params => ({
      a: params.a.cast('float32'),
      rest: [params.rest[0].cast('float32')],
    });
    const { params } = run(optimizer, 4, single);
    expect(params.a.dtype).toBe('float32');
    expectClose(flat(params), expected, 1e-6);
  });

  test('many elements at once: every lane and the rest of the vector', () => {
    const optimizer = optim.adamw({ learningRate: 0.1, weightDecay: 0.05 });
    const size = 1003;
    const [one, many] = [size, 1].map((count) => {
      let params = { w: tensor(new Float32Array(count).fill(0.5)) };
      let state = optimizer.init(params);
      for (let i = 0; i < 3; i++)
        ({ params, state } = optimizer.update(params, { w: tensor(new Float32Array(count).fill(0.25)) }, state));
      return Array.from(params.w.dataSync());
    });
    expect(new Set(one)).toEqual(new Set(many));
  });

  test('nothing is changed in place', () => {
    const params = start();
    const optimizer = optim.adamw({ learningRate: 0.1 });
    const state = optimizer.init(params);
    const first = optimizer.update(params, gradientsAt(0), state);
    const second = optimizer.update(params, gradientsAt(0), state);
    expectClose(flat(params), Array.from(flat(start()).dataSync()), 0);
    expect(state.step.itemSync()).toBe(0);
    expectClose(flat(first.params), Array.from(flat(second.params).dataSync()), 0);
  });

  test('a schedule is asked for the step that the state holds', () => {
    const asked: number[] = [];
    const optimizer = optim.sgd({
      learningRate: (step) => {
        asked.push(step);
        return 0;
      },
    });
    run(optimizer, 3);
    expect(asked).toEqual([0, 1, 2]);
  });

  test('bad input', () => {
    const optimizer = optim.adam({ learningRate: 0.1 });
    const state = optimizer.init(start());
    expect(() => optimizer.update(start(), { a: wave([3], 0) } as Params, state)).toThrow(
      "[adam] the gradients have no tensor at '.rest[0]'",
    );
    expect(() => optimizer.update(start(), { ...start(), a: wave([4], 0) }, state)).toThrow(
      "[adam] the parameter '.a' is [3], its gradient or state [4]",
    );
    expect(() => optimizer.update(start(), { ...start(), a: tensor([1, 2, 3]) }, state)).toThrow(
      "[adam] the parameter '.a' is float64, its gradient float32",
    );
    expect(() => optim.sgd({ learningRate: -1 })).toThrow('[sgd] the learning rate of step 0 is -1');
    expect(() => optim.sgd({ learningRate: 1, nesterov: true })).toThrow('[sgd] nesterov');
    expect(() => optim.adamw({ learningRate: 1, betas: [1, 0.9] })).toThrow(
      '[adamw] betas[0] is 1; it must be in [0, 1)',
    );
    expect(() => optim.adamw({ learningRate: 1, weightDecay: NaN })).toThrow('[adamw] weightDecay is NaN');
    const falling = optim.sgd({ learningRate: (step) => 1 - step });
    const later = { ...falling.init(start()), step: tensor(2, { dtype: 'int32' }) };
    expect(() => falling.update(start(), gradientsAt(0), later)).toThrow('[sgd] the learning rate of step 2 is -1');
  });
});

describe('clipByGlobalNorm', () => {
  const gradients = { a: wave([3], 1.1, 2), b: [wave([2], 2.2, 0.5), null] };

  test('scales to the norm, as torch does', () => {
    const clipped = optim.clipByGlobalNorm(gradients, 1);
    expect(clipped.norm.itemSync()).toBeCloseTo(2.9293209734309027, 12);
    expectClose(clipped.gradients.a, [0.608473475, 0.664896273, 0.408607964]);
    expectClose(clipped.gradients.b[0]!, [0.138000604, 0.0408369806]);
    expect(clipped.gradients.b[1]).toBeNull();
  });

  test('leaves small gradients alone, and zeros', () => {
    expectClose(optim.clipByGlobalNorm(gradients, 3).gradients.a, Array.from(gradients.a.dataSync()), 0);
    expectClose(optim.clipByGlobalNorm({ a: tensor([0, 0]) }, 1).gradients.a, [0, 0], 0);
  });

  test('refuses what makes no sense', () => {
    expect(() => optim.clipByGlobalNorm(gradients, 0)).toThrow('[clipByGlobalNorm] maxNorm is 0');
    expect(() => optim.clipByGlobalNorm({}, 1)).toThrow('no gradient');
  });
});

describe('schedules', () => {
  test('cosine falls from peak to floor along half a wave', () => {
    const rate = optim.cosine(2, 100, 1);
    expect(rate(0)).toBe(2);
    expect(rate(50)).toBeCloseTo(1.5, 12);
    expect(rate(25)).toBeCloseTo(1.5 + Math.SQRT1_2 / 2, 12);
    expect(rate(100)).toBe(1);
    expect(rate(1000)).toBe(1);
    expect(optim.cosine(2, 0)(0)).toBe(0);
  });

  test('warmup rises to what follows', () => {
    const rate = optim.warmup(4, optim.cosine(1, 10));
    [0.2, 0.4, 0.6, 0.8, 1].forEach((expected, step) => {
      expect(rate(step)).toBeCloseTo(expected, 12);
    });
    expect(rate(14)).toBe(0);
    expect(rate(9)).toBeCloseTo(0.5, 12);
    expect(optim.warmup(0, optim.cosine(1, 10))(0)).toBe(1);
  });

  test('bad input', () => {
    expect(() => optim.warmup(1.5, () => 1)).toThrow('[warmup] steps is 1.5');
    expect(() => optim.cosine(-1, 5)).toThrow('[cosine] peak is -1');
    expect(() => optim.cosine(1, -5)).toThrow('[cosine] steps is -5');
  });
});

describe.each(['float16', 'bfloat16'] as const)('%s parameters', (dtype) => {
  const start = (): { w: Tensor } => ({ w: tensor([0, 1, -2]).cast(dtype) });

  test.each([
    ['adam', optim.adam({ learningRate: 1e-2 })],
    ['adamw', optim.adamw({ learningRate: 1e-2, weightDecay: 0 })],
  ])('%s makes steps of the learning rate under small gradients', (_name, optimizer) => {
    for (const size of [1e-3, 1e-5, 3e2]) {
      let params = start();
      let state = optimizer.init(params);
      for (let i = 0; i < 30; i++)
        ({ params, state } = optimizer.update(params, { w: tensor([size, -size, size]).cast(dtype) }, state));
      expect([params.w.dtype, state.mean.w.dtype, state.variance.w.dtype]).toEqual([dtype, 'float32', 'float32']);
      const moved = Array.from(params.w.dataSync());
      expect(Math.abs(moved[0]! + 0.3)).toBeLessThan(dtype === 'float16' ? 2e-3 : 2e-2);
      if (dtype === 'float16') expect(Math.abs(moved[1]! - 1.3)).toBeLessThan(1e-2);
    }
  });

  test('a velocity gathers what float16 would round away', () => {
    const optimizer = optim.sgd({ learningRate: 1, momentum: 0.999 });
    let params = { w: tensor([0]).cast(dtype) };
    let state = optimizer.init(params);
    for (let i = 0; i < 400; i++)
      ({ params, state } = optimizer.update(params, { w: tensor([2 ** -20]).cast(dtype) }, state));
    const exact = Array.from({ length: 400 }).reduce<number>((velocity) => 0.999 * velocity + 2 ** -20, 0);
    expect(state.velocity.w.dtype).toBe('float32');
    expect(Math.abs(state.velocity.w.itemSync() / exact - 1)).toBeLessThan(1e-5);
  });

  test('the state comes back from a checkpoint, and of another dtype is refused', async () => {
    const optimizer = optim.adam({ learningRate: 1e-2 });
    const gradients = { w: tensor([1, 2, 3]).cast(dtype) };
    const first = optimizer.update(start(), gradients, optimizer.init(start()));
    const bytes = await saveSafetensors(first);
    const template = { params: start(), state: optimizer.init(start()) };
    const restored = restoreTree(template, loadSafetensors(bytes).tensors);
    const next = (from: typeof first): unknown =>
      optimizer.update(from.params, gradients, from.state).params.w.arraySync();
    expect(next(restored)).toEqual(next(first));
    const narrow = { ...first.state, mean: { w: first.state.mean.w.cast(dtype) } };
    expect(() => optimizer.update(first.params, gradients, narrow)).toThrow(
      `[adam] the state of the ${dtype} parameter '.w' is ${dtype}; it must be float32`,
    );
  });
});

test('options that are undefined count as left out', () => {
  const params = { w: tensor([1]) };
  const step = (optimizer: optim.Adam): number =>
    optimizer.update(params, params, optimizer.init(params)).params.w.itemSync();
  const left = { weightDecay: undefined, betas: undefined, eps: undefined } as object;
  expect(step(optim.adamw({ learningRate: 0.1, ...left }))).toBe(step(optim.adamw({ learningRate: 0.1 })));
  expect(step(optim.adam({ learningRate: 0.1, ...left }))).toBe(step(optim.adam({ learningRate: 0.1 })));
});

describe('clipping extremes', () => {
  const clipped = (
    size: number,
    count: number,
    maxNorm: number,
    dtype: 'float32' | 'float64' = 'float32',
  ): number[] => {
    const { gradients, norm } = optim.clipByGlobalNorm([tensor(new Array(count).fill(size), { dtype })], maxNorm);
    return [norm.itemSync(), gradients[0]!.dataSync()[count - 1]!];
  };

  test.each([
    [1e19, 128, 2],
    [3e38, 1000, 1],
    [3e38, 4, 1e-3],
    [1e-20, 100, 1],
    [1e30, 9, 1e35],
  ])('%p, %p times, to %p', (size, count, maxNorm) => {
    const length = size * Math.sqrt(count);
    const [norm, value] = clipped(size, count, maxNorm);
    if (length < 3.4e38) expect(norm! / length).toBeCloseTo(1, 5);
    else expect(norm).toBe(Infinity);
    expect(value! / (size * Math.min(1, maxNorm / (length + 1e-6)))).toBeCloseTo(1, 5);
  });

  test('float64 of any size', () => {
    const [norm, value] = clipped(1e200, 4, 1, 'float64');
    expect(norm! / 2e200).toBeCloseTo(1, 12);
    expect(value).toBeCloseTo(0.5, 12);
  });

  test('infinite and NaN gradients show in the norm', () => {
    const of = (...data: number[]): number => optim.clipByGlobalNorm([tensor(data)], 1).norm.itemSync();
    expect([of(Infinity, 1), of(NaN, 1)]).toEqual([Infinity, NaN]);
    expect(() => optim.clipByGlobalNorm([tensor([1], { dtype: 'int32' })], 1)).toThrow(DTypeError);
  });

  test('clipping keeps dtypes, and float16 gradients do not overflow on the way', () => {
    const { gradients, norm } = optim.clipByGlobalNorm(
      { a: tensor([300, 400], { dtype: 'float16' }), b: tensor([0], { dtype: 'float64' }) },
      5,
    );
    expect(norm.itemSync()).toBeCloseTo(500, 3);
    expect([gradients.a.dtype, gradients.b.dtype]).toEqual(['float16', 'float64']);
    expect(Array.from(gradients.a.dataSync(), Math.round)).toEqual([3, 4]);
  });
});
