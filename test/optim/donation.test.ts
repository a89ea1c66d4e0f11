/** `update(params, gradients, state, { donate })`: the same bits without copies, nothing changed that was not given up, and an error for whoever uses it. */
import {
  type DType,
  grad,
  logSoftmax,
  memory,
  optim,
  OutOfMemoryError,
  random,
  RecycledError,
  scope,
  tensor,
  type Tensor,
  valueAndGrad,
  ValueError,
} from 'tapegrad';
import type { CpuBuffer } from '../../src/backends/cpu/buffer.js';
import { heap } from '../../src/backends/cpu/heap.js';

interface Params {
  readonly large: Tensor;
  readonly rest: readonly [Tensor, { readonly small: Tensor }];
}

/** Elements of a tensor that stays in the heap outside of scopes, not a multiple of a vector's lanes. */
const LARGE = 2 ** 18 + 3;

const draw = (seed: number, dtype: DType = 'float32'): Params => {
  const source = random(seed);
  const size = dtype === 'float32' ? LARGE : 1001;
  const of = (shape: readonly number[]): Tensor => source.normal(shape).cast(dtype);
  return { large: of([size]), rest: [of([3, 5]), { small: of([]) }] };
};
const leaves = ({ large, rest }: Params): readonly Tensor[] => [large, rest[0], rest[1].small];
const all = (params: Params, { mean, variance }: optim.AdamState<Params>): readonly Tensor[] =>
  [params, mean, variance].flatMap(leaves);
const bytesOf = (t: Tensor): Buffer => {
  const { buffer, byteOffset, byteLength } = t.rawDataSync('copy');
  return Buffer.from(buffer, byteOffset, byteLength);
};
const addressOf = ({ buffer }: Tensor): number => (buffer as CpuBuffer).address;
const expectSame = (found: readonly Tensor[], wanted: readonly Tensor[]): void => {
  expect(found.length).toBe(wanted.length);
  found.forEach((t, i) => {
    expect(bytesOf(t).equals(bytesOf(wanted[i]!))).toBe(true);
  });
};
const gone = (...tensors: readonly Tensor[]): void => {
  for (const t of tensors) {
    expect(() => t.dataSync()).toThrow(RecycledError);
    expect(() => t.add(1)).toThrow(/was donated to adamw; go on with what that gave/);
  }
};
const gradientsOf = grad((p: Params) => p.large.square().sum().add(p.rest[0].sum()).add(p.rest[1].small));
const adamw = optim.adamw({ learningRate: 0.01 });

afterEach(() => {
  jest.restoreAllMocks();
});

const steps = (
  optimizer: optim.Adam,
  donate: optim.UpdateOptions['donate'],
  dtype: DType,
  inScope: boolean,
): readonly Tensor[] => {
  let params = draw(1, dtype);
  let state = optimizer.init(params);
  for (let step = 0; step < 4; step++) {
    const update = (): { params: Params; state: optim.AdamState<Params> } =>
      optimizer.update(params, draw(step + 2, dtype), state, { donate });
    ({ params, state } = inScope ? scope(update) : update());
  }
  expect(state.step.itemSync()).toBe(4);
  return 'mean' in state ? all(params, state) : leaves(params);
};

describe.each(['float32', 'float64', 'float16'] as const)('%s', (dtype) => {
  test.each([
    ['adamw', adamw],
    ['adam', optim.adam({ learningRate: 0.1, weightDecay: 0.1 })],
    ['sgd', optim.sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true }) as unknown as optim.Adam],
    ['choices', optim.adamw({ learningRate: 0.1, trainable: (_, t) => t.rank !== 2, rate: (_, t) => t.rank + 1 })],
  ])('%s gives the same bits, in a scope and outside', (_, optimizer) => {
    const wanted = steps(optimizer, false, dtype, false);
    for (const donate of [true, ['params'], ['params', 'gradients', 'state']] as const)
      for (const inScope of [true, false]) expectSame(steps(optimizer, donate, dtype, inScope), wanted);
  });
});

test('what is given up is written over where it lies, step after step, and nothing is reserved', () => {
  let params = draw(1);
  let state = adamw.init(params);
  ({ params, state } = scope(() => adamw.update(params, draw(2), state, { donate: true })));
  const large = [params.large, state.mean.large, state.variance.large];
  const places = large.map(addressOf);
  const { reservedBytes } = memory();
  for (let step = 0; step < 30; step++) {
    // Every other gradient is an ordinary array, as where there is no more room outside of scopes.
    const gradients = step % 2 === 0 ? gradientsOf(params) : draw(step);
    ({ params, state } = adamw.update(params, gradients, state, { donate: ['params', 'gradients', 'state'] }));
    expect([params.large, state.mean.large, state.variance.large].map(addressOf)).toEqual(places);
  }
  expect(memory().reservedBytes - reservedBytes).toBeLessThan(8 * 2 ** 20);
  gone(...large);
});

test('what an update has made of donated tensors stays where the next one writes from 64 KiB on, looked at or not', () => {
  const places = (donate: boolean, length: number): readonly (number | null)[][] => {
    let params = random(1).normal([length]);
    let state = adamw.init(params);
    return Array.from({ length: 4 }, (_, step) => {
      const given = params;
      ({ params, state } = scope(() => adamw.update(params, random(step).normal([length]), state, { donate })));
      if (donate) expect(() => given.dataSync()).toThrow(RecycledError);
      expect(params.dataSync().length).toBe(length);
      return [params, state.mean, state.variance].map(({ buffer }) =>
        (buffer as CpuBuffer).array ? null : (buffer as CpuBuffer).address,
      );
    });
  };
  const [first, ...others] = places(true, 2 ** 14);
  expect(first).not.toContain(null);
  for (const later of others) expect(later).toEqual(first);
  const none = [null, null, null];
  expect(places(true, 2 ** 14 - 64)).toEqual([none, none, none, none]);
  expect(places(false, 2 ** 14)).toEqual([none, none, none, none]);
});

test('donated tensors and views of them cannot be used afterwards; gradients can unless they are named', () => {
  const params = draw(1);
  const state = adamw.init(params);
  const gradients = draw(2);
  const views = [params.large.reshape([1, LARGE]), params.rest[0].reshape([15]), state.mean.rest[0].expandDims(0)];
  const before = params.rest[0].dataSync().slice();
  const { data } = params.rest[0].ndarray();
  const next = adamw.update(params, gradients, state, { donate: true });
  gone(...all(params, state), ...views);
  expect(() => state.step.itemSync()).toThrow(RecycledError);
  expect(() => adamw.update(params, gradients, next.state)).toThrow(
    /^\[adamw\] the float32 tensor \[\d+\] that .* was donated to adamw/,
  );
  expect(() => adamw.update(next.params, gradients, state)).toThrow(RecycledError);
  expect(params.rest[1].small.toString()).toContain('recycled');
  expect(data).toEqual(before); // what was read stays
  expect(leaves(gradients).every((t) => Number.isFinite(t.sum().itemSync()))).toBe(true);
  const last = adamw.update(next.params, gradients, next.state, { donate: ['gradients'] });
  gone(...leaves(gradients));
  expect([...all(next.params, next.state), ...all(last.params, last.state)].every((t) => t.buffer.alive)).toBe(true);
});

test('memory that tensors of an update share is not written over, and what passes through as it is stays', () => {
  const run = (donate: boolean): readonly Tensor[] => {
    const w = random(1).normal([512, 513]).mul(1); // in the heap
    const params = { w, tied: w.reshape([513, 512]), frozen: w.mul(2) };
    const optimizer = optim.adamw({ learningRate: 0.1, trainable: (path) => path !== 'frozen' });
    const state = optimizer.init(params);
    const zeros = state.mean.w.mul(1);
    // The gradient of w is w itself; both means are one tensor, and the frozen one's gradient is another parameter.
    const shared = { ...state, mean: { w: zeros, tied: zeros.reshape([513, 512]), frozen: state.mean.frozen } };
    const gradients = { w, tied: params.tied, frozen: w };
    const next = optimizer.update(params, gradients, shared, { donate: donate && ['params', 'gradients', 'state'] });
    expect(next.params.frozen).toBe(params.frozen);
    expect(next.state.mean.frozen).toBe(state.mean.frozen);
    if (donate) gone(w, params.tied, zeros, state.variance.w);
    return [next.params, next.state.mean, next.state.variance].flatMap(Object.values) as Tensor[];
  };
  expectSame(run(true), run(false));
});

test('results that were put off see the numbers from before', () => {
  const w = random(5).normal([512, 512]);
  const wanted = bytesOf(logSoftmax(w));
  scope(() => {
    const params = { w: w.mul(1) };
    const late = logSoftmax(params.w);
    adamw.update(params, { w }, adamw.init(params), { donate: true });
    expect(bytesOf(late).equals(wanted)).toBe(true);
  });
});

test('an update that throws has taken nothing', () => {
  let rate = 0.1;
  const optimizer = optim.adamw({
    learningRate: () => rate,
    rate: (path) => {
      if (rate === 0.2 && path.includes('small')) throw new Error('no rate');
      return 1;
    },
  });
  const started = draw(1);
  const { params, state } = scope(() => optimizer.update(started, draw(2), optimizer.init(started), { donate: true }));
  const gradients = { ...draw(3), large: draw(3).large.mul(1) };
  const saved = all(params, state).map(bytesOf);
  const update = (given: Params): unknown =>
    scope(() => optimizer.update(params, given, state, { donate: ['params', 'gradients', 'state'] }));
  rate = NaN;
  expect(() => update(gradients)).toThrow(ValueError);
  rate = 0.2;
  expect(() => update(gradients)).toThrow('no rate');
  rate = 0.1;
  expect(() => update({ ...gradients, rest: [gradients.rest[0], { small: tensor([1, 2]) }] })).toThrow('small');
  jest.spyOn(heap(), 'take').mockImplementation(() => {
    throw new OutOfMemoryError('cpu', 'no room');
  });
  expect(() => update(gradients)).toThrow(OutOfMemoryError); // for the small ones
  jest.restoreAllMocks();
  all(params, state).forEach((t, i) => {
    expect(bytesOf(t).equals(saved[i]!)).toBe(true);
  });
  expect(leaves(gradients).every((t) => t.buffer.alive)).toBe(true);
  update(gradients);
  expect([...all(params, state), ...leaves(gradients)].some((t) => t.buffer.alive)).toBe(false);
});

test('tensors of an outer scope are written over where they are; within a transform nothing is given up', () => {
  scope(() => {
    const params = { w: random(1).normal([1000]).mul(1) };
    const state = adamw.init(params);
    const owned = { ...state, mean: { w: params.w.mul(0) }, variance: { w: params.w.mul(0) } };
    const gradients = { w: params.w.mul(3) };
    const place = addressOf(params.w);
    const next = scope(() => adamw.update(params, gradients, owned, { donate: true }));
    expect(addressOf(next.params.w)).toBe(place);
    expect(Number.isFinite(next.params.w.sum().itemSync())).toBe(true);
    gone(params.w);
    const slope = grad((x: Tensor) => {
      const last = adamw.update(next.params, gradients, next.state, { donate: true });
      return x.mul(next.params.w).add(last.params.w).sum();
    })(tensor(2));
    expect(slope.itemSync()).toBeCloseTo(next.params.w.sum().itemSync(), 3);
  });
});

test.each<[unknown, RegExp]>([
  ['all', /^\[adamw\] donate is 'all'; it must be true, false or a list of 'params', 'gradients', 'state'/],
  [1, /^\[adamw\] donate is 1; it must be true, false or a list/],
  [null, /^\[adamw\] donate is null; it must be true, false or a list/],
  [['params', 'grads'], /^\[adamw\] donate\[1\] is 'grads'; it must be one of 'params', 'gradients', 'state'/],
  [[, 'params'], /^\[adamw\] donate\[0\] is undefined; it must be one of/], // eslint-disable-line no-sparse-arrays -- what a user may write
  [{ params: true }, /^\[adamw\] donate is .*; it must be true, false or a list/],
])('donate %p is refused', (donate, message) => {
  const params = draw(1);
  const state = adamw.init(params);
  expect(() => adamw.update(params, draw(2), state, { donate: donate as boolean })).toThrow(message);
  expect(all(params, state).every((t) => t.buffer.alive)).toBe(true);
});

test('the count of steps is given up with the state', () => {
  const params = draw(1);
  const state = adamw.init(params);
  const next = adamw.update(params, draw(2), state, { donate: true });
  const mixed = { ...next.state, step: state.step };
  expect(() => adamw.update(next.params, draw(2), mixed)).toThrow(RecycledError);
  expect(() => adamw.learningRate(state)).toThrow(RecycledError);
});

test('a backward pass whose parameters were given up meanwhile says so', async () => {
  const params = { w: tensor([1, 2]) };
  const state = adamw.init(params);
  const pending = valueAndGrad(async (p: typeof params) => {
    const y = p.w.square();
    await Promise.resolve();
    return y.sum();
  })(params);
  adamw.update(params, { w: tensor([1, 1]) }, state, { donate: true });
  await expect(pending).rejects.toThrow(/donate/);
});
