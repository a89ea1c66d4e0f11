import {
  DTypeError,
  errorRate,
  grad,
  loadSafetensors,
  mapTensors,
  RecycledError,
  restoreTree,
  saveSafetensors,
  scope,
  ShapeError,
  tensor,
  type Tensor,
  ValueError,
  valueAndGrad,
  zeros,
} from 'tapegrad';

const numbers = (t: Tensor): number[] => Array.from(t.dataSync());

describe('tensors where JavaScript wants something else', () => {
  test('JSON has the values, in and out of a transform', () => {
    expect(JSON.stringify({ step: 1, x: tensor([[1, 2.5]]), b: tensor([true]), s: tensor(3) })).toBe(
      '{"step":1,"x":[[1,2.5]],"b":[true],"s":3}',
    );
    let inside = '';
    grad((x: Tensor) => {
      const loss = x.square().sum();
      inside = JSON.stringify({ loss });
      return loss;
    })(tensor([1, 2]));
    expect(inside).toBe('{"loss":5}');
    let lost: Tensor | null = null;
    scope(() => {
      lost = tensor([1]).add(1);
    });
    expect(() => JSON.stringify(lost)).toThrow(RecycledError);
  });

  test('going through one gives its parts, differentiably', () => {
    expect(
      [
        ...tensor([
          [1, 2],
          [3, 4],
        ]),
      ].map((part) => part.arraySync()),
    ).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect([...zeros([0, 3])]).toEqual([]);
    expect(
      numbers(grad((x: Tensor) => [...x].reduce((sum, part, i) => sum.add(part.mul(i)), tensor(0)))(zeros([3]))),
    ).toEqual([0, 1, 2]);
    expect(() => [...tensor(1)]).toThrow(ShapeError);
  });

  test('operators are refused, text is not', () => {
    const x = tensor([1, 2]) as unknown as number;
    for (const run of [
      () => x + 1,
      () => 1 + x,
      () => x * 2,
      () => -x,
      () => x > 1,
      () => Number(x),
      () => Math.max(x, 1),
    ]) {
      expect(run).toThrow(DTypeError);
      expect(run).toThrow('x.add(y)');
    }
    expect(`${tensor([1, 2]).toString()}`).toBe('Tensor(float32[2]) [1, 2]');
    expect(String(tensor([1, 2]))).toBe('Tensor(float32[2]) [1, 2]');
  });
});

describe('Map, Set and instances of classes', () => {
  class Model {
    readonly layers: readonly Tensor[];
    constructor(weight: Tensor) {
      this.layers = [weight];
    }
  }

  test('a scope keeps what Map and Set hold', () => {
    const { map, set } = scope(() => ({
      map: new Map([['a', tensor([1]).add(1)]]),
      set: new Set([tensor([2]).add(1)]),
    }));
    expect(numbers(map.get('a')!.add(1))).toEqual([3]);
    expect([...set].map(numbers)).toEqual([[3]]);
  });

  test('they are trees to transforms and mapTensors', () => {
    const params = new Map([['w', tensor([1, 2])]]);
    const [[, aux], gradient] = valueAndGrad(
      (p: typeof params): [Tensor, Set<Tensor>] => [p.get('w')!.square().sum(), new Set([p.get('w')!.add(1)])],
      { hasAux: true },
    )(params);
    expect(numbers(gradient.get('w')!)).toEqual([2, 4]);
    expect([...aux].map(numbers)).toEqual([[2, 3]]);
    const sum = mapTensors((a, b) => a.add(b), params, params);
    expect(numbers(sum.get('w')!)).toEqual([2, 4]);
    expect(() => mapTensors((a, b) => a.add(b), params, new Map([['v', tensor([1])]]))).toThrow(ValueError);
  });

  test('instances that hold tensors are refused, others pass', async () => {
    const message = 'an object of class Model';
    expect(() => scope(() => ({ model: new Model(tensor([1]).add(1)) }))).toThrow(message);
    expect(() => grad((x: Tensor): [Tensor, Model] => [x.sum(), new Model(x)], { hasAux: true })(tensor([1]))).toThrow(
      message,
    );
    expect(() => grad((m: Model) => m.layers[0]!.sum())(new Model(tensor([1])))).toThrow(message);
    await expect(saveSafetensors(new Model(tensor([1])))).rejects.toThrow(message);
    const date = new Date(0);
    expect(scope(() => ({ date, bytes: new Uint8Array(2) })).date).toBe(date);
  });
});

describe('names and bytes of safetensors', () => {
  test('names come back as they were, whatever they hold', async () => {
    const names = ['.layers[0].weight', 'w[1]', 'a.b', '..', '', '[0]', 'ä', '__proto__', 'x\n"y"'];
    const tree = Object.fromEntries(names.map((name, i) => [name, tensor([i])]));
    const { tensors } = loadSafetensors(await saveSafetensors(tree));
    expect(Object.keys(tensors).sort()).toEqual([...names].sort());
    expect(Object.values(restoreTree(tree, tensors)).map(numbers)).toEqual(names.map((_, i) => [i]));
    expect(Object.keys(loadSafetensors(await saveSafetensors({ a: [{ w: tensor([1]) }] })).tensors)).toEqual(['a.0.w']);
    expect(Object.keys(loadSafetensors(await saveSafetensors(new Map([['m', tensor([1])]]))).tensors)).toEqual(['m']);
  });

  test('two tensors of one name are refused', async () => {
    await expect(saveSafetensors({ 'a.b': tensor([1]), a: { b: tensor([2]) } })).rejects.toThrow(ValueError);
    await expect(saveSafetensors(tensor([1]))).rejects.toThrow('a bare tensor has no name');
  });

  test('bytes in any wrapping are read', async () => {
    const bytes = await saveSafetensors({ a: tensor([1, 2]) });
    const wide = new Uint8Array(bytes.length + 16);
    wide.set(bytes, 8);
    const shared = new SharedArrayBuffer(bytes.length);
    new Uint8Array(shared).set(bytes);
    const { buffer } = bytes.slice();
    const views = [
      bytes,
      Buffer.from(bytes),
      buffer,
      new DataView(buffer),
      new DataView(wide.buffer, 8, bytes.length),
      new Int8Array(buffer),
      shared,
      new Uint8Array(shared),
    ];
    for (const view of views) expect(numbers(loadSafetensors(view).tensors.a!)).toEqual([1, 2]);
    for (const length of [0, 7, 8, 20, bytes.length - 1])
      expect(() => loadSafetensors(bytes.subarray(0, length))).toThrow('[loadSafetensors]');
  });

  test.each([
    [
      new Blob([new Uint8Array(64)]),
      'a Blob; it must be the bytes of a file, a Uint8Array or ArrayBuffer (write await blob.arrayBuffer())',
    ],
    [
      Promise.resolve(new Uint8Array(8)),
      'a Promise; it must be the bytes of a file, a Uint8Array or ArrayBuffer (await it first)',
    ],
    [new Response('x'), 'await response.arrayBuffer()'],
    ['model.safetensors', 'await readFile(path)'],
    [null, 'the file is null'],
    [undefined, 'the file is undefined'],
    [64, 'the file is a number'],
    [[1, 2, 3], 'the file is an array'],
    [{}, 'the file is an object'],
    [tensor([1]), 'the file is a tensor of shape [1]'],
  ])('what holds no bytes is refused: %#', (file, message) => {
    expect(() => loadSafetensors(file as never)).toThrow(DTypeError);
    expect(() => loadSafetensors(file as never)).toThrow(message);
  });
});

describe('labels of error rates', () => {
  test('big integers are the numbers that they are', () => {
    const rate = (a: unknown, b: unknown): number => errorRate([a] as never, [b] as never).rate;
    expect(rate(BigInt64Array.of(1n, 2n), [1, 2])).toBe(0);
    expect(rate([1n, 2], Int32Array.of(1, 2))).toBe(0);
    expect(rate(BigUint64Array.of(1n, 3n), [1n, 2n])).toBe(0.5);
    expect(rate([2n ** 63n], [2n ** 63n])).toBe(0);
    expect(rate([2n ** 63n + 1n], [2 ** 63])).toBe(1);
  });

  test.each([
    zeros([20000]),
    new DataView(new ArrayBuffer(8)),
    { a: 1 },
    null,
    3,
    [[1]],
    [NaN],
    [undefined],
    [zeros([20000])],
  ])('others are refused in a few words: %#', (sequence) => {
    let message = '';
    try {
      errorRate([sequence] as never, ['a']);
    } catch (error) {
      ({ message } = error as Error);
    }
    expect(message).toMatch(/^\[errorRate\] reference 0/);
    expect(message.length).toBeLessThan(200);
  });
});
