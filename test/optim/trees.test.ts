import { grad, mapTensors, optim, tensor, type Tensor } from 'tapegrad';

describe('trees and transforms', () => {
  test('parameters are told apart by where they are, not by how their paths read', () => {
    const one = (value: number): Tensor => tensor([value]);
    const params = { 'a.b': one(0), a: { b: one(0) } };
    const optimizer = optim.sgd({ learningRate: 1 });
    const { params: next } = optimizer.update(params, { 'a.b': one(9), a: { b: one(18) } }, optimizer.init(params));
    expect([next['a.b'].itemSync(), next.a.b.itemSync()]).toEqual([-9, -18]);
  });

  test('parameters in Maps and Sets are trees as others are', () => {
    const optimizer = optim.adam({ learningRate: 0.1 });
    const [w, b] = [tensor([1, 2]), tensor([3])];
    const params = new Map<string, Tensor | Set<Tensor>>([
      ['w', w],
      ['b', new Set([b])],
    ]);
    const lossOf = (tree: typeof params): Tensor =>
      (tree.get('w') as Tensor)
        .square()
        .sum()
        .add([...(tree.get('b') as Set<Tensor>)][0]!.exp().sum());
    const gradients = grad(lossOf)(params);
    const next = optimizer.update(params, gradients, optimizer.init(params));
    const plain = { w, b: [b] };
    const same = optimizer.update(plain, { w: w.mul(2), b: [b.exp()] }, optimizer.init(plain));
    const wOf = (tree: typeof params): Tensor => tree.get('w') as Tensor;
    const [bOf] = next.params.get('b') as Set<Tensor>;
    expect(wOf(next.params).dataSync()).toEqual(same.params.w.dataSync());
    expect(bOf!.dataSync()).toEqual(same.params.b[0]!.dataSync());
    expect(next.state.mean).toBeInstanceOf(Map);
    const ema = optim.ema({ decay: 0.5 });
    expect(wOf(ema.update(ema.init(params), next.params).average).dataSync()).toEqual(same.params.w.dataSync());
    expect(optim.clipByGlobalNorm(gradients, 1).gradients).toBeInstanceOf(Map);
  });

  test('a count that can rise no further is refused before it wraps', () => {
    const step = tensor(2 ** 31 - 1, { dtype: 'int32' });
    const params = [tensor([1])];
    for (const [name, optimizer] of [
      ['sgd', optim.sgd({ learningRate: 1, momentum: 0.5 })],
      ['adamw', optim.adamw({ learningRate: 1 })],
    ] as const) {
      const state = { ...(optimizer as optim.Adam).init(params), step };
      expect(() => (optimizer as optim.Adam).update(params, params, state, { donate: true })).toThrow(
        `[${name}] state.step is 2147483647, the most that a count holds`,
      );
      expect(optimizer.learningRate(state)).toBe(1);
      const last = { ...state, step: tensor(2 ** 31 - 2, { dtype: 'int32' }) };
      expect((optimizer as optim.Adam).update(params, params, last).state.step.itemSync()).toBe(2 ** 31 - 1);
    }
    const ema = optim.ema({ decay: 0.5 });
    expect(() => ema.update({ ...ema.init(params), step }, params)).toThrow('[ema] state.step is 2147483647');
  });

  test('gradients of another structure are refused, extra ones as well', () => {
    const params = { w: tensor([1]) };
    const optimizer = optim.adam({ learningRate: 1 });
    expect(() => optimizer.update(params, { v: tensor([1]) } as never, optimizer.init(params))).toThrow(
      "[adam] the gradients have no tensor at '.w'",
    );
    expect(() => optimizer.update(params, { w: tensor([1]), x: tensor([1]) } as never, optimizer.init(params))).toThrow(
      "[adam] the gradients have an extra tensor at '.x'",
    );
  });

  test('parameters in a Map, whatever the order of its keys, keep their own names', () => {
    const keys = ['b', '2', 1];
    const params = new Map(keys.map((key, i): [unknown, Tensor] => [key, tensor([10 * i])]));
    const gradients = new Map(keys.map((key, i): [unknown, Tensor] => [key, tensor([i])]).reverse());
    for (const optimizer of [optim.sgd({ learningRate: 1, momentum: 0.5 }), optim.adam({ learningRate: 1 })] as const) {
      const { params: next } = (optimizer as optim.Sgd).update(
        params,
        gradients,
        (optimizer as optim.Sgd).init(params),
      );
      expect([...next.keys()]).toEqual(keys);
      keys.forEach((key, i) => {
        expect(Math.abs(next.get(key)!.itemSync() - 10 * i)).toBeLessThanOrEqual(2);
      });
    }
    const { average } = optim.ema({ decay: 0.5 }).update(optim.ema({ decay: 0.5 }).init(params), params);
    expect(keys.map((key) => average.get(key)!.itemSync())).toEqual([0, 10, 20]);
  });

  test('gradients and state may have their keys in another order', () => {
    const params = { a: tensor([1, 2]), 'b.c': tensor([3]), b: { c: tensor([4]) } };
    const turned = ({ a, b, ...rest }: typeof params): typeof params => ({ b, ...rest, a });
    const valuesOf = ({ a, b, ...rest }: typeof params): number[] =>
      [a, rest['b.c'], b.c].flatMap((t) => Array.from(t.dataSync()));
    const gradients = mapTensors((t) => t.square(), params);
    const optimizer = optim.adamw({ learningRate: 0.1 });
    const first = optimizer.update(params, gradients, optimizer.init(params));
    const second = optimizer.update(first.params, gradients, first.state);
    const turnedFirst = optimizer.update(params, turned(gradients), optimizer.init(turned(params)));
    const turnedSecond = optimizer.update(turned(turnedFirst.params), gradients, turnedFirst.state);
    expect(Object.keys(turnedFirst.params)).toEqual(['a', 'b.c', 'b']);
    expect(Object.keys(turnedSecond.params)).toEqual(['b', 'b.c', 'a']);
    expect(valuesOf(turnedSecond.params)).toEqual(valuesOf(second.params));
    const { a, ...others } = gradients;
    expect(() => optimizer.update(params, { ...others, z: a } as never, first.state)).toThrow(
      "[adamw] the gradients have no tensor at '.a'",
    );
  });

  test('an update inside a transform is refused: it would have gradient 0', () => {
    const optimizer = optim.sgd({ learningRate: 1 });
    const lossOf = (w: Tensor): Tensor => optimizer.update([w], [w], optimizer.init([w])).params[0]!.sum();
    expect(() => grad(lossOf)(tensor([1, 2]))).toThrow('[sgd] an update inside a transform has no derivative');
  });
});
