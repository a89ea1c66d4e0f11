import { add, grad, mapTensors, relu, tensor, type Tensor, tensorsOf, ValueError } from 'tapegrad';

const loose = mapTensors as (...args: unknown[]) => unknown;

describe('mapTensors', () => {
  const tree = {
    layers: [
      { weight: tensor([1, -2]), rate: 0.5 },
      { weight: tensor([3]), rate: 2 },
    ],
    name: 'net',
    nothing: null,
    act: relu,
  };

  test('one tree: tensors are replaced, all else stays', () => {
    const doubled = mapTensors((t) => t.mul(2), tree);
    expect(doubled.layers.map(({ weight, rate }) => [weight.arraySync(), rate])).toEqual([
      [[2, -4], 0.5],
      [[6], 2],
    ]);
    expect([doubled.name, doubled.nothing, doubled.act]).toEqual(['net', null, relu]);
    expect(tree.layers[0]!.weight.arraySync()).toEqual([1, -2]);
  });

  test('anything may come of a tensor; the place is told', () => {
    const places: string[] = [];
    const shapes = mapTensors((t, path) => {
      places.push(path);
      return t.size;
    }, tree);
    expect(shapes.layers.map(({ weight }) => weight)).toEqual([2, 1]);
    expect(places).toEqual(['.layers[0].weight', '.layers[1].weight']);
    expect(mapTensors((t, path) => `${path}${t.size}`, tensor(1))).toBe('1');
  });

  test('several trees: a tensor of each, constants of the first', () => {
    const other = mapTensors((t) => t.add(10), { ...tree, name: 'other' });
    const sum = mapTensors((a, b, path) => a.add(b).mul(path.includes('[0]') ? 1 : 0), tree, other);
    expect(sum.layers.map(({ weight }) => weight.arraySync())).toEqual([[12, 6], [0]]);
    expect(sum.name).toBe('net');
    expect(mapTensors(add, [tensor(1)], [tensor(2)])[0]!.itemSync()).toBe(3);
    expect(mapTensors((a, b, c) => a.add(b).add(c), tensor(1), tensor(2), tensor(3)).itemSync()).toBe(6);
  });

  test('keys in any order; what is undefined may be missing', () => {
    interface Pair {
      a: Tensor;
      b?: Tensor | undefined;
      c: Tensor;
    }
    const x: Pair = { a: tensor(1), b: undefined, c: tensor(2) };
    const y: Pair = { c: tensor(3), a: tensor(4) };
    for (const sum of [mapTensors((p, q) => p.sub(q), x, y), mapTensors((p, q) => q.sub(p), y, x)])
      expect([sum.a.itemSync(), sum.c.itemSync()]).toEqual([-3, -1]);
  });

  test('Maps have their own order and their own keys: whatever these are, and 1 is not the text 1', () => {
    const [first, second] = [{}, {}];
    const keys = ['b', '2', 1, '1', first, second];
    const of = (values: readonly number[]): Map<unknown, Tensor> =>
      new Map(keys.map((key, i) => [key, tensor(values[i]!)]));
    const places: string[] = [];
    const sums = mapTensors(
      (a, b, path) => {
        places.push(path);
        return a.add(b);
      },
      of([1, 2, 3, 4, 5, 6]),
      new Map([...of([10, 20, 30, 40, 50, 60])].reverse()),
    );
    expect(Array.from(sums, ([key, t]) => [key, t.itemSync()])).toEqual(keys.map((key, i) => [key, 11 * (i + 1)]));
    expect(places.slice(0, 4)).toEqual(['.b', '.2', '.1', '.1']);
    expect(() => loose((t: Tensor) => t, new Map([[1, tensor(1)]]), new Map([['1', tensor(1)]]))).toThrow(
      '[mapTensors] tree 1 has a tensor of shape [] at .1, where the first tree has nothing',
    );
  });

  test.each<[string, unknown[], string]>([
    ['a tensor is missing', [{ a: [tensor(1)] }, { a: [] }], 'tree 1 has 0 elements at .a, the first tree has 1'],
    ['a list that is longer', [[tensor(1)], [tensor(1), tensor(2)]], 'tree 1 has 2 elements, the first tree has 1'],
    [
      'a key is missing',
      [
        { a: tensor(1), b: { c: tensor([1]) } },
        { a: tensor(1), b: {} },
      ],
      'tree 1 has nothing at .b.c, where the first tree has a tensor of shape [1]; their structures must agree',
    ],
    [
      'an extra key',
      [{ a: tensor(1) }, { a: tensor(1) }, { a: tensor(1), b: tensor([1, 2]) }],
      'tree 2 has a tensor of shape [2] at .b, where the first tree has nothing',
    ],
    [
      'a number in the place of a tensor',
      [[{ w: tensor(1) }], [{ w: 1 }]],
      'tree 1 has a number at [0].w, where the first tree has a tensor of shape []',
    ],
    ['a tensor in the place of null', [[null], [tensor(1)]], 'tree 1 has a tensor of shape [] at [0], where the first'],
    [
      'a tensor for a tree',
      [{ a: tensor(1) }, tensor(1)],
      'tree 1 has a tensor of shape [], where the first tree has an object',
    ],
  ])('trees that do not agree: %s', (_, trees, message) => {
    const run = (): unknown => loose((t: Tensor) => t, ...trees);
    expect(run).toThrow(ValueError);
    expect(run).toThrow(`[mapTensors] ${message}`);
  });

  test('the tree before the function, and no tree at all', () => {
    expect(() => loose({ a: tensor(1) }, relu)).toThrow(
      '[mapTensors] the function comes first: mapTensors(f, tree); got an object in its place',
    );
    expect(() => loose(relu)).toThrow('[mapTensors] there is no tree: mapTensors(f, tree)');
  });
});

test('tensorsOf lists the tensors of a tree in order', () => {
  const [a, b] = [tensor(1), tensor(2)];
  const found = tensorsOf({ x: [b, 'text', { y: a }], z: 3 });
  expect([found.length, found[0] === b, found[1] === a]).toEqual([2, true, true]);
});

describe('trees that hold themselves', () => {
  const list: unknown[] = [tensor(1)];
  list.push(list, list);
  const object: Record<string, unknown> = { t: tensor(1) };
  object.inner = { again: object };
  const map = new Map<string, unknown>();
  map.set('self', map);
  const set = new Set<unknown>();
  set.add(set);

  test.each<[string, unknown, string]>([
    ['a list', list, 'an array in the tree holds itself'],
    ['an object', object, 'an object in the tree holds itself'],
    ['a Map', map, 'an object of class Map in the tree holds itself'],
    ['a Set', set, 'an object of class Set in the tree holds itself'],
  ])('%s', (_name, tree, problem) => {
    expect(() => tensorsOf(tree)).toThrow(`[tensorsOf] the tree: ${problem}`);
    expect(() => mapTensors((t) => t, tree)).toThrow(`[mapTensors] ${problem}`);
    expect(() => grad((x) => x.sum())(tree as Tensor)).toThrow(`[grad] argument 0: ${problem}`);
  });

  test('one tree in two places does not', () => {
    const shared = { w: tensor(2) };
    expect(tensorsOf({ a: shared, b: [shared, shared] })).toHaveLength(3);
  });

  test('500 levels are a tree', () => {
    const nest = (levels: number): unknown =>
      Array.from({ length: levels }).reduce<unknown>((inner) => [inner], tensor(1));
    expect(tensorsOf(nest(500))).toHaveLength(1);
    expect(() => tensorsOf(nest(501))).toThrow('[tensorsOf] the tree: the tree has more than 500 levels');
  });
});
