import {
  avgPool2d,
  grad,
  loadSafetensors,
  nn,
  random,
  relu,
  restoreTree,
  saveSafetensors,
  tanh,
  type Tensor,
  tensor,
  TapegradError,
  valueAndGrad,
  zeros,
} from 'tapegrad';
import { expectClose, gradCheckTree, inFloat64, wave } from './wave.js';

const plain = (x: Tensor): number[] => Array.from(x.dataSync());

interface Count {
  readonly calls: Tensor;
}

/** A user's own layer: adds what it has counted, and counts its applications in training. */
const counter = (): nn.StatefulLayer<{ scale: Tensor }, Count> => ({
  init: () => ({ scale: tensor(1) }),
  initState: () => ({ calls: tensor(0) }),
  apply: ((params: { scale: Tensor }, x: Tensor, { state, random: source, training = source !== undefined }) => {
    const y = x.mul(params.scale).add(state.calls);
    return training ? [y, { calls: state.calls.add(1) }] : y;
  }) as nn.StatefulLayer<{ scale: Tensor }, Count>['apply'],
});

/** The means of pairs of frames. */
const mean2 = {
  init: () => null,
  apply: (_params: null, x: Tensor) => avgPool2d(x.expandDims(-1), [2, 1]).squeeze(-1),
  outputLength: (length: number) => Math.floor(length / 2),
};

describe('lengths', () => {
  test('of convolutions are what a sequence alone would give', () => {
    for (const [kernel, stride, padding, dilation] of [
      [3, 1, 0, 1],
      [3, 2, 1, 1],
      [5, 3, 2, 2],
      [1, 2, 0, 1],
      [4, 2, 3, 3],
    ] as const) {
      const one = nn.conv1d(2, 3, kernel, { stride, padding, dilation });
      const two = nn.conv2d(2, 3, [kernel, 2], { stride: [stride, 1], padding: [padding, 0], dilation: [dilation, 1] });
      const params = one.init(random(1));
      const params2 = two.init(random(1));
      for (let length = 1; length < 14; length++) {
        const fits = length + 2 * padding - dilation * (kernel - 1) - 1 >= 0;
        const wanted = fits ? one.apply(params, zeros([1, length, 2])).shape[1] : 0;
        expect(one.outputLength(length)).toBe(wanted);
        if (fits) expect(two.apply(params2, zeros([1, length, 4, 2])).shape[1]).toBe(wanted);
        expect(two.outputLength(length)).toBe(wanted);
      }
      expect(one.outputLength(0)).toBe(0);
    }
    expect(nn.conv1d(2, 3, 3, { padding: 'same' }).outputLength(7)).toBe(7);
    expect(Array.from(nn.conv1d(2, 3, 3, { stride: 2 }).outputLengths([7, 3, 2, 0]))).toEqual([3, 1, 0, 0]);
  });

  const front = nn.sequential(nn.conv1d(2, 4, 3, { stride: 2, padding: 1 }), tanh, mean2);
  const model = nn.sequential(front, nn.conv1d(4, 3, 3, { padding: 'same' }), nn.gru(3, 2, { bidirectional: true }));

  test('go from the input through strides', () => {
    expect(model.outputLength(16)).toBe(4);
    expect(Array.from(model.outputLengths(tensor([16, 9, 0], { dtype: 'int32' })))).toEqual([4, 2, 0]);
  });

  test('a sequence in a batch is what it is alone, whatever the padding holds, and the padding has no gradient', () => {
    const params = inFloat64(model.init(random(2)));
    const [x, lengths] = [wave([3, 16, 2], 0.3), [16, 8, 12]];
    const spoiled = x.dataSync();
    lengths.forEach((length, n) => spoiled.fill(NaN, (n * 16 + length) * 2, (n + 1) * 32));
    const bad = tensor(spoiled, { shape: x.shape });
    const together = model.apply(params, bad, { lengths });
    lengths.forEach((length, n) => {
      const alone = model.apply(params, x.slice([n, n + 1], [0, length]));
      expect(alone.shape[1]).toBe(model.outputLength(length));
      expectClose(together.slice([n, n + 1], [0, alone.shape[1]!]), plain(alone), 1e-12);
    });
    const weights = wave([3, 4, 4], 1);
    const [dParams, dx] = grad(
      (p: typeof params, input: Tensor) => model.apply(p, input, { lengths }).mul(weights).sum(),
      {
        argnums: [0, 1],
      },
    )(params, bad);
    expect(plain(dx).every(Number.isFinite)).toBe(true);
    lengths.forEach((length, n) => {
      if (length < 16) expect(plain(dx.slice(n, [length, 16]).abs().sum())).toEqual([0]);
      expect(plain(dx.slice(n, [0, length]).abs().sum())[0]).toBeGreaterThan(0);
    });
    expect(plain(dParams[0][0].weight).every(Number.isFinite)).toBe(true);
    expect(() => {
      gradCheckTree(
        (p: typeof params, input) => model.apply(p, input, { lengths: [8, 5] }),
        params,
        wave([2, 8, 2], 1),
      );
    }).not.toThrow();
  });

  test('functions that change the frames, and lengths that cannot be, are refused', () => {
    const x = zeros([2, 8, 2]);
    const loose = nn.sequential((t) => t.slice([], [0, 4]), nn.linear(2, 2));
    const params = loose.init(random(1));
    expect(loose.apply(params, x).shape).toEqual([2, 4, 2]);
    expect(() => loose.apply(params, x, { lengths: [8, 3] })).toThrow(
      '[sequential] stage 0, a function, changed the number of frames, so that the lengths for stage 1 are not known',
    );
    const last = nn.sequential(nn.linear(2, 2), (t) => t.permute([1, 0, 2]));
    expect(last.apply(last.init(random(1)), x, { lengths: [8, 3] }).shape).toEqual([8, 2, 2]);
    expect(() => loose.apply(params, x, { lengths: [9, 3] })).toThrow('[sequential] sequence 0: length is 9');
    expect(() => loose.apply(params, x, { lengths: [3] })).toThrow('[sequential] 1 lengths for 2 sequences');
    expect(() => loose.apply(params, zeros([2]), { lengths: [1, 1] })).toThrow('[sequential] x is [2]; with lengths');
    expect(() => loose.outputLength(-1)).toThrow('[sequential] length is -1');
    expect(() => loose.outputLength(1.5)).toThrow(TapegradError);
    expect(() => loose.outputLengths([0.5])).toThrow(TapegradError);
  });
});

describe('running state', () => {
  const model = nn.sequential(nn.linear(2, 2), counter(), relu, nn.residual(counter()));

  test('goes through layers made of layers, and comes back in training', () => {
    const params = model.init(random(1));
    const state = model.initState();
    expect(state.map((one) => one?.calls.itemSync() ?? null)).toEqual([null, 0, null, 0]);
    const x = wave([3, 2], 0.1).cast('float32');
    const [, next] = model.apply(params, x, { state, training: true });
    const [, third] = model.apply(params, x, { state: next, random: random(1) });
    expect(third.map((one) => one?.calls.itemSync() ?? null)).toEqual([null, 2, null, 2]);
    expect(model.apply(params, x, { state: third }).shape).toEqual([3, 2]);
    expect(model.apply(params, x, { state: third, random: random(1), training: false })).toBeDefined();
    const either = model.apply(params, x, { state, training: Math.random() < 2 });
    expect(Array.isArray(either)).toBe(true);
  });

  test('is the aux of a training step', () => {
    const step = valueAndGrad(
      (p: nn.ParamsOf<typeof model>, s: nn.StateOf<typeof model>, x: Tensor) => {
        const [y, next] = model.apply(p, x, { state: s, training: true });
        return [y.square().mean(), next];
      },
      { hasAux: true },
    );
    const params = model.init(random(1));
    const [[, next], gradients] = step(params, model.initState(), wave([3, 2], 0.1).cast('float32'));
    expect(next[1].calls.itemSync()).toBe(1);
    expect(gradients[0].weight.shape).toEqual([2, 2]);
  });

  test('that is missing or another one is refused', () => {
    const params = model.init(random(1));
    const loose = model.apply.bind(model) as (...given: unknown[]) => unknown;
    const x = zeros([3, 2]);
    expect(() => loose(params, x)).toThrow('[sequential] the state is undefined; it must be what initState gave');
    expect(() => loose(params, x, { state: [] })).toThrow('[sequential] the state is a list of 0');
    expect(() => loose(params, x, { state: model.initState(), training: 1 })).toThrow('[sequential] training is 1');
    expect(() => (nn.linear(2, 2).apply as typeof loose)(nn.linear(2, 2).init(random(1)), x, { state: 1 })).toThrow(
      "[linear] there is no option 'state'",
    );
  });
});

describe('group', () => {
  const model = nn.group({
    front: nn.conv1d(2, 4, 3, { stride: 2, padding: 1 }),
    act: relu,
    rnn: nn.gru(4, 3, { bidirectional: true }),
    head: nn.sequential(nn.linear(6, 5)),
  });

  test('names parameters, in checkpoints too', async () => {
    const params = model.init(random(1));
    expect(Object.keys(params)).toEqual(['front', 'act', 'rnn', 'head']);
    const { tensors } = loadSafetensors(await saveSafetensors(params));
    expect(Object.keys(tensors).sort()).toEqual(
      [
        ...['bias', 'weight'].flatMap((name) => [`front.${name}`, `head.0.${name}`]),
        ...['biasHidden', 'biasInput', 'weightHidden', 'weightInput'].flatMap((name) => [
          `rnn.backward.${name}`,
          `rnn.forward.${name}`,
        ]),
      ].sort(),
    );
    expect(restoreTree(model.init(random(2)), tensors).head[0].weight.arraySync()).toEqual(
      params.head[0].weight.arraySync(),
    );
  });

  test('applies its parts in order, with lengths', () => {
    const params = model.init(random(1));
    const x = wave([2, 8, 2], 0.2).cast('float32');
    const { front, rnn, head } = params;
    const parts = nn.conv1d(2, 4, 3, { stride: 2, padding: 1 }).apply(front, x, { lengths: [8, 5] });
    const read = nn.gru(4, 3, { bidirectional: true }).apply(rnn, relu(parts), { lengths: [4, 3] });
    const byHand = nn.linear(6, 5).apply(head[0], read);
    expect(model.apply(params, x, { lengths: [8, 5] }).arraySync()).toEqual(byHand.arraySync());
    expect(Array.from(model.outputLengths([8, 5]))).toEqual([4, 3]);
  });

  test('may be wired by a function', () => {
    const gated = nn.group({ norm: nn.layerNorm(3), inner: nn.linear(3, 3), seen: counter() }, (part, x) => {
      const y = part.norm(x);
      return x.add(part.inner(y).mul(part.seen(part.seen(y)).sigmoid()));
    });
    const params = gated.init(random(1));
    const [, state] = gated.apply(params, wave([2, 3], 0.2).cast('float32'), {
      state: gated.initState(),
      training: true,
    });
    expect(state.seen.calls.itemSync()).toBe(2);
    expect(state.norm).toBeNull();
    expect(() => {
      gradCheckTree(
        (p: typeof params, x) => gated.apply(p, x, { state: inFloat64(gated.initState()) }),
        inFloat64(params),
        wave([2, 3], 0.4),
        { order: 2 },
      );
    }).not.toThrow();
  });

  test('that is wired says what becomes of lengths', () => {
    const parts = { front: nn.conv1d(2, 4, 3, { stride: 2, padding: 1 }), rnn: nn.gru(4, 3) };
    const silent = nn.group(parts, (part, x) => part.rnn(part.front(x)));
    const x = zeros([2, 8, 2]);
    expect(silent.apply(silent.init(random(1)), x).shape).toEqual([2, 4, 3]);
    expect(() => silent.apply(silent.init(random(1)), x, { lengths: [8, 3] })).toThrow(
      "[group] 'front' changes the lengths; give { outputLength }",
    );
    expect(() => silent.outputLength(8)).toThrow("[group] 'front' changes the lengths");
    const told = nn.group(parts, (part, t) => part.rnn(part.front(t), { lengths: [4, 2] }), {
      outputLength: (length) => parts.front.outputLength(length),
    });
    const params = told.init(random(1));
    const ragged = wave([2, 8, 2], 0.3).cast('float32');
    expect(told.apply(params, ragged, { lengths: [8, 3] }).arraySync()).toEqual(
      nn
        .sequential(parts.front, parts.rnn)
        .apply([params.front, params.rnn], ragged, { lengths: [8, 3] })
        .arraySync(),
    );
    expect(told.outputLength(8)).toBe(4);
  });

  test('bad parts and parameters', () => {
    const loose = nn.group as (...given: unknown[]) => unknown;
    expect(() => loose({ 1: nn.linear(2, 2) })).toThrow("[group] a part is named '1'");
    expect(() => loose({ a: 3 })).toThrow("[group] 'a' is 3, neither a layer nor a function");
    expect(() => loose([nn.linear(2, 2)])).toThrow('[group] the parts are an array');
    expect(() => loose({ a: relu }, 3)).toThrow('[group] the second argument is 3');
    const { front } = model.init(random(1));
    expect(() => (model.apply as (...given: unknown[]) => unknown)({ front }, zeros([1, 8, 2]))).toThrow(
      "[group] the parameters: there is no 'act'",
    );
    const odd = nn.group({ a: relu }, () => 3 as never);
    expect(() => odd.apply(odd.init(random(1)), zeros([2]))).toThrow('[group] the result is 3, not a tensor');
  });
});

describe('residual', () => {
  test('adds the input, or what a shortcut makes of it', () => {
    const inner = nn.linear(3, 3);
    const params = inner.init(random(1));
    const x = wave([2, 3], 0.2).cast('float32');
    expect(nn.residual(inner).apply(params, x).arraySync()).toEqual(x.add(inner.apply(params, x)).arraySync());
    const strided = nn.residual(nn.conv1d(2, 4, 3, { stride: 2, padding: 1 }), {
      shortcut: nn.conv1d(2, 4, 1, { stride: 2 }),
    });
    const both = strided.init(random(1));
    expect(Object.keys(both)).toEqual(['inner', 'shortcut']);
    expect(strided.apply(both, zeros([2, 7, 2]), { lengths: [7, 3] }).shape).toEqual([2, 4, 4]);
    expect(Array.from(strided.outputLengths([7, 3]))).toEqual([4, 2]);
  });

  test('refuses shapes that broadcasting would make fit', () => {
    const narrow = nn.residual(nn.linear(3, 1));
    expect(() => narrow.apply(narrow.init(random(1)), zeros([2, 3]))).toThrow(
      '[residual] the layer gives [2, 1], what goes around it is [2, 3]; they must be of one shape',
    );
    const loose = nn.residual as (...given: unknown[]) => unknown;
    expect(() => loose(nn.linear(3, 3), nn.linear(3, 3))).toThrow("[residual] there is no option 'init'");
    expect(() => loose(nn.linear(3, 3), relu)).toThrow('several layers are one as sequential(a, b)');
    expect(() => loose(nn.linear(3, 3), { shortcut: 3 })).toThrow('[residual] the shortcut is 3');
  });
});

describe('summary', () => {
  const model = nn.group({
    front: nn.sequential(nn.conv1d(40, 64, 3, { stride: 2, padding: 1 }), relu),
    block: nn.residual(nn.sequential(nn.layerNorm(64), counter())),
    own: { init: () => ({ w: zeros([64]) }), apply: (p: { w: Tensor }, x: Tensor) => x.mul(p.w) },
    head: nn.linear(64, 30),
  });

  test('of a model', () => {
    expect(nn.summary(model, [1, 100, 40])).toBe(
      [
        'layer    kind       output       parameter  shape        count',
        '--------------------------------------------------------------',
        'front.0  conv1d     [1, 50, 64]  weight     [64, 3, 40]  7,680',
        '                                 bias       [64]            64',
        'front.1  function   [1, 50, 64]                              0',
        'block.0  layerNorm  [1, 50, 64]  weight     [64]            64',
        '                                 bias       [64]            64',
        'block.1  layer      [1, 50, 64]  scale      []               1',
        'own      layer      [1, 50, 64]  w          [64]            64',
        'head     linear     [1, 50, 30]  weight     [30, 64]     1,920',
        '                                 bias       [30]            30',
        '--------------------------------------------------------------',
        'total               [1, 50, 30]                          9,887',
      ].join('\n'),
    );
    expect(nn.summary(nn.embedding(10, 4), [2, 3], { dtype: 'int32' })).toContain('[2, 3, 4]');
  });

  test('of parameters', () => {
    expect(nn.summary(nn.sequential(nn.linear(2, 1000)).init(random(1)))).toBe(
      [
        'name      shape             count',
        '---------------------------------',
        '0.weight  float32[1000, 2]  2,000',
        '0.bias    float32[1000]     1,000',
        '---------------------------------',
        'total                       3,000',
      ].join('\n'),
    );
    expect(nn.summary({ n: zeros([1000, 1000]) })).toContain('1,000,000');
  });

  test('refuses what it cannot sum up', () => {
    const loose = nn.summary as (...given: unknown[]) => unknown;
    expect(() => loose(model)).toThrow('[summary] a model comes with the shape of an input');
    expect(() => loose({ w: zeros([2]) }, [2])).toThrow('[summary] an input shape goes with a model');
    expect(() => nn.summary(model, [1, 100, 41])).toThrow('[conv1d] x is [1, 100, 41]');
    expect(() => nn.summary(model, [1, 100, 40], { dtype: 'int64' as never })).toThrow('[summary]');
  });
});
