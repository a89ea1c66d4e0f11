import { concat, loadSafetensors, optim, restoreTree, saveSafetensors, scope, tensor, type Tensor } from 'tapegrad';
import { expectClose, wave } from '../nn/wave.js';

/* Decay, trainable and rate by path, and the learning rate of a step. The constants are what torch 1.13's parameter groups give in float64. */

interface Params {
  readonly a: Tensor;
  readonly encoder: readonly [{ readonly weight: Tensor }];
}

const treeOf = (a: Tensor, weight: Tensor): Params => ({ a, encoder: [{ weight }] });
const start = (): Params => treeOf(wave([3], 0.3), wave([2, 2], 0.9));
const gradientsAt = (step: number): Params => treeOf(wave([3], 1.1 + step, 2), wave([2, 2], 2.2 - step, 0.5));
const flat = ({ a, encoder }: Params): Tensor => concat([a, encoder[0].weight.reshape([4])]);

const choices = {
  learningRate: 0.1,
  weightDecay: 0.05,
  decay: (_path: string, t: Tensor) => t.rank > 1,
  rate: (path: string) => (path.startsWith('encoder.') ? 0.5 : 1),
} as const;

/** Sgd and Adam differ only in the type of their state. */
function run(optimizer: optim.Sgd | optim.Adam, steps = 4): { params: Params; state: optim.AdamState<Params> } {
  const either = optimizer as optim.Adam;
  let params = start();
  let state = either.init(params);
  for (let step = 0; step < steps; step++) ({ params, state } = either.update(params, gradientsAt(step), state));
  return { params, state };
}

test.each([
  ['sgd', () => run(optim.sgd({ ...choices, momentum: 0.9 }))],
  ['adam', () => run(optim.adam(choices))],
  ['adamw', () => run(optim.adamw(choices))],
])('%s with decay and rate by path makes the steps of torch with parameter groups', (name, make) => {
  expectClose(flat(make().params), FACTS[name]!);
});

const FACTS: Readonly<Record<string, readonly number[]>> = {
  sgd: [-0.637456922, 0.421833927, 1.28272969, 0.642203912, 0.85806193, 0.670360015, 0.16737731],
  adam: [-0.00592896236, 0.649474453, 0.974521179, 0.618952517, 0.817589461, 0.712035431, 0.215148233],
  adamw: [-0.00592896236, 0.649474453, 0.974521179, 0.616649119, 0.813547524, 0.718391508, 0.216259723],
};

describe('trainable', () => {
  const trainable = (path: string): boolean => path === 'encoder.0.weight';

  test.each([
    ['sgd', () => run(optim.sgd({ learningRate: 0.1, momentum: 0.9, weightDecay: 0.1, trainable }))],
    ['adamw', () => run(optim.adamw({ learningRate: 0.1, trainable }))],
  ])('%s leaves the others as they are, whatever their gradients', (_, make) => {
    const { params, state } = make();
    expectClose(params.a, Array.from(start().a.dataSync()), 0);
    expect(params.encoder[0].weight.arraySync()).not.toEqual(start().encoder[0].weight.arraySync());
    const { step: _step, ...kept } = state as unknown as Record<string, Params>;
    for (const tree of Object.values(kept)) expectClose(tree.a, [0, 0, 0], 0);
  });

  test('what is frozen is the very tensor, in a scope as well, and a gradient of NaN does not reach it', () => {
    const optimizer = optim.adam({ learningRate: 0.1, trainable });
    const params = start();
    const gradients = { ...gradientsAt(0), a: tensor([NaN, NaN, NaN], { dtype: 'float64' }) };
    const next = scope(() => optimizer.update(params, gradients, optimizer.init(params)));
    expect(next.params.a).toBe(params.a);
    expectClose(next.state.mean.a, [0, 0, 0], 0);
  });

  test('a checkpoint of frozen parameters goes on with them thawed', async () => {
    const frozen = run(optim.adam({ learningRate: 0.1, trainable }));
    const template = { params: start(), state: optim.adam({ learningRate: 0.1 }).init(start()) };
    const restored = restoreTree(template, loadSafetensors(await saveSafetensors(frozen)).tensors);
    const thawed = optim.adam({ learningRate: 0.1 });
    const next = thawed.update(restored.params, gradientsAt(4), restored.state);
    expect(next.params.a.arraySync()).not.toEqual(start().a.arraySync());
  });
});

test('paths are the names in checkpoints', async () => {
  const seen = new Set<string>();
  run(optim.sgd({ learningRate: 0.1, decay: (path) => seen.add(path) !== seen }), 1);
  expect([...seen].sort()).toEqual(Object.keys(loadSafetensors(await saveSafetensors(start())).tensors).sort());
});

describe('the learning rate', () => {
  const optimizer = optim.adam({ learningRate: optim.linear(1, 10) });

  test('is that of the next update', () => {
    const { state } = run(optimizer, 3);
    expect(optimizer.learningRate(state)).toBeCloseTo(0.7, 12);
    expect(optimizer.learningRate(optimizer.init(start()))).toBe(1);
    expect(optimizer.learningRate(state, { scale: 0.5 })).toBeCloseTo(0.35, 12);
  });

  test('a scale multiplies it, as a number or as a tensor', () => {
    const plain = optim.sgd({ learningRate: 0.25 });
    const whole = optim.sgd({ learningRate: 0.5 });
    const step = (o: optim.Sgd, options?: optim.UpdateOptions): unknown =>
      flat(o.update(start(), gradientsAt(0), o.init(start()), options).params).arraySync();
    for (const scale of [0.5, tensor(0.5), tensor(0.5, { dtype: 'float64' })])
      expect(step(whole, { scale })).toEqual(step(plain));
    expect(step(whole, {})).toEqual(step(whole));
  });
});

describe('bad input', () => {
  const update = (options: object, given?: object): unknown => {
    const optimizer = optim.adam({ learningRate: 0.1, ...options });
    return optimizer.update(start(), gradientsAt(0), optimizer.init(start()), given);
  };

  test.each<[() => unknown, string]>([
    [
      () => optim.sgd({ learningRate: 1, decay: true as never }),
      '[sgd] decay is true; it must be a function of path and parameter: (path, t) => t.rank > 1',
    ],
    [() => optim.adam({ learningRate: 1, rate: { a: 1 } as never }), '[adam] rate is an object; it must be a function'],
    [() => update({ decay: () => 1 as never }), "[adam] decay gave 1 for 'a'; it must give true or false"],
    [
      () => update({ trainable: (path: string) => (path === 'a' ? true : undefined) }),
      "[adam] trainable gave undefined for 'encoder.0.weight'; it must give true or false",
    ],
    [() => update({ rate: () => -1 }), "[adam] the rate of 'a' is -1; it must be finite and not negative"],
    [() => update({ rate: () => NaN }), "[adam] the rate of 'a' is NaN"],
    [() => update({}, { scale: -1 }), '[adam] scale is -1; it must be finite and not negative'],
    [() => update({}, { scale: tensor([1, 2]) }), '[adam] scale is [2]; it must be a single number'],
    [() => update({}, { rate: 1 }), "[adam] there is no option 'rate'; there are scale, donate"],
    [
      () => optim.adam({ learningRate: 1 }).learningRate({} as never),
      '[adam] the state is an object; call learningRate',
    ],
  ])('%#', (call, message) => {
    expect(call).toThrow(message);
  });

  test('a choice that is wrong for a later parameter is refused before any is updated', () => {
    const asked: string[] = [];
    expect(() =>
      update({
        rate: (path: string) => {
          asked.push(path);
          return path === 'a' ? 1 : NaN;
        },
      }),
    ).toThrow("[adam] the rate of 'encoder.0.weight' is NaN");
    expect(asked).toEqual(['a', 'encoder.0.weight']);
  });
});
