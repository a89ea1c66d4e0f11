import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nn, type Tensor, valueAndGrad } from 'tapegrad';
import { wave } from './wave.js';

/** Results and gradients of torch 1.13: see test/nn/facts/layers.py. */
const FACTS = JSON.parse(readFileSync(join(__dirname, 'facts/layers.json'), 'utf8')) as Record<
  string,
  Record<string, number[]>
>;
const compared = new Set<string>();

/** To 1e-5 of the largest number of a result, as the project promises; what is found is 1e-11. */
function expectFacts(name: string, found: Readonly<Record<string, Tensor>>): void {
  const wanted = FACTS[name]!;
  expect(Object.keys(found).sort()).toEqual(Object.keys(wanted).sort());
  for (const [key, t] of Object.entries(found)) {
    const values = Array.from(t.dataSync());
    expect([key, values.length]).toEqual([key, wanted[key]!.length]);
    const scale = Math.max(...wanted[key]!.map(Math.abs), 1e-3);
    values.forEach((value, i) => {
      if (!(Math.abs(value - wanted[key]![i]!) <= 1e-10 * scale))
        throw new Error(`${name}, ${key}, element ${i} is ${value}; torch has ${wanted[key]![i]}`);
    });
  }
  compared.add(name);
}

const product = (y: Tensor): Tensor => y.mul(wave(y.shape, 0.4)).sum();

describe('norms', () => {
  const params = (features: number): nn.NormParams => ({ weight: wave([features], 0.5), bias: wave([features], 1) });

  test.each([
    [[6, 3], true],
    [[6, 3], false],
    [[2, 3, 2, 2], true],
  ])('batchNorm of %j, training: %s', (shape, training) => {
    const features = shape.at(-1)!;
    const layer = nn.batchNorm(features, { momentum: 0.2, eps: 1e-3 });
    const state = { mean: wave([features], 0.2), variance: wave([features], 0.3).abs().add(0.5) };
    const run = (p: nn.NormParams, x: Tensor): [Tensor, nn.BatchNormState] => {
      const given = layer.apply(p, x, { state, training });
      return Array.isArray(given) ? given : [given, state];
    };
    const x = wave(shape, 0.1, 3).add(1);
    const [[, [output, next]], [dp, dx]] = valueAndGrad(
      (p: nn.NormParams, t: Tensor) => {
        const given = run(p, t);
        return [product(given[0]), given];
      },
      { argnums: [0, 1], hasAux: true },
    )(params(features), x);
    expectFacts(`batchNorm [${shape.join(',')}] ${training ? 'training' : 'evaluation'}`, {
      output,
      'd x': dx,
      'd weight': dp.weight,
      'd bias': dp.bias,
      ...next,
    });
  });

  test.each([
    [[2, 4, 6], 3],
    [[2, 2, 3, 4], 2],
  ])('groupNorm of %j in %d', (shape, groups) => {
    const layer = nn.groupNorm(groups, shape.at(-1)!, { eps: 1e-3 });
    const x = wave(shape, 0.1, 3).add(1);
    const [dp, dx] = valueAndGrad((p: nn.NormParams, t: Tensor) => product(layer.apply(p, t)), { argnums: [0, 1] })(
      params(shape.at(-1)!),
      x,
    )[1];
    const output = layer.apply(params(shape.at(-1)!), x);
    expectFacts(`groupNorm [${shape.join(',')}] in ${groups}`, {
      output,
      'd x': dx,
      'd weight': dp.weight,
      'd bias': dp.bias,
    });
  });
});

describe('multiHeadAttention', () => {
  test.each([
    ['self', 4, 4, 2, 3, null, [3, 2]],
    ['causal', 6, 6, 3, 4, null, [4, 4]],
    ['cross', 4, 3, 2, 3, 5, [5, 2]],
  ] as const)('%s', (name, features, memoryFeatures, heads, frames, keys, lengths) => {
    const layer = nn.multiHeadAttention(features, heads, { memoryFeatures, causal: name === 'causal' });
    const one = (i: number, width: number): nn.LinearParams => ({
      weight: wave([features, width], 0.2 + i, 0.8),
      bias: wave([features], 0.5 + i, 0.3),
    });
    const params = {
      query: one(0, features),
      key: one(1, memoryFeatures),
      value: one(2, memoryFeatures),
      output: one(3, features),
    };
    const x = wave([2, frames, features], 0.1);
    const memory = keys === null ? null : wave([2, keys, memoryFeatures], 0.3);
    const run = (p: nn.AttentionParams, t: Tensor, m: Tensor): Tensor =>
      layer.apply(p, t, memory ? { memory: m, memoryLengths: lengths } : { lengths });
    const [dp, dx, dm] = valueAndGrad(
      (p: nn.AttentionParams, t: Tensor, m: Tensor) => product(run(p, t, m)).add(m.sum().mul(0)),
      {
        argnums: [0, 1, 2],
      },
    )(params, x, memory ?? x)[1];
    expectFacts(`attention ${name}`, {
      output: run(params, x, memory ?? x),
      'd x': dx,
      ...(memory && { 'd memory': dm }),
      ...Object.fromEntries(
        Object.entries(dp).flatMap(([part, { weight, bias }]): [string, Tensor][] => [
          [`d ${part}.weight`, weight],
          [`d ${part}.bias`, bias!],
        ]),
      ),
    });
  });
});

describe('stacked recurrent layers', () => {
  const NAMES = {
    weightInput: 'weight_ih',
    weightHidden: 'weight_hh',
    biasInput: 'bias_ih',
    biasHidden: 'bias_hh',
  } as const;

  /** Parameters, and their gradients, as torch orders and names them. */
  function inOrder(layers: readonly nn.RecurrentParams[]): [string, Tensor][] {
    return layers.flatMap(({ forward, backward }, l) =>
      [forward, backward].flatMap((direction, d) =>
        Object.entries(NAMES).flatMap(([ours, theirs]): [string, Tensor][] =>
          direction ? [[`d ${theirs}_l${l}${d ? '_reverse' : ''}`, direction[ours as keyof typeof NAMES]]] : [],
        ),
      ),
    );
  }

  function paramsOf(gates: number, layers: number, directions: number): nn.StackedRecurrentParams {
    let phase = 0.2;
    const next = (shape: number[]): Tensor => {
      const values = wave(shape, phase, 0.8);
      phase += 0.3;
      return values;
    };
    const direction = (features: number): nn.DirectionParams => ({
      weightInput: next([gates * 3, features]),
      weightHidden: next([gates * 3, 3]),
      biasInput: next([gates * 3]),
      biasHidden: next([gates * 3]),
    });
    return {
      layers: Array.from({ length: layers }, (_, l) => ({
        forward: direction(l === 0 ? 2 : 3 * directions),
        backward: directions === 2 ? direction(l === 0 ? 2 : 3 * directions) : null,
      })),
    };
  }

  test.each([
    ['gru', 2, 2, [4, 2, 1]],
    ['gru', 3, 1, [3, 3]],
    ['lstm', 2, 2, [4, 2, 1]],
    ['lstm', 2, 1, [3, 1]],
  ] as const)('%s %d x %d', (kind, layers, directions, lengths) => {
    const shape = [layers * directions, lengths.length, 3];
    const initial = { hidden: wave(shape, 0.6, 0.5), cell: wave(shape, 1.6, 0.5) };
    const options = { layers, bidirectional: directions === 2, dropout: 0 };
    const run = (p: nn.StackedRecurrentParams, x: Tensor): { output: Tensor; state: nn.GruState } =>
      kind === 'gru'
        ? nn.gru(2, 3, options).run(p, x, { lengths, initial })
        : nn.lstm(2, 3, options).run(p, x, { lengths, initial });
    const params = paramsOf(kind === 'gru' ? 3 : 4, layers, directions);
    const x = wave([lengths.length, Math.max(...lengths), 2], 0.1);
    const [dp, dx] = valueAndGrad((p: nn.StackedRecurrentParams, t: Tensor) => product(run(p, t).output), {
      argnums: [0, 1],
    })(params, x)[1];
    const { output, state } = run(params, x);
    expect(state.hidden.shape).toEqual(shape);
    expectFacts(`${kind} ${layers} x ${directions}`, {
      output,
      'd x': dx,
      ...state,
      ...Object.fromEntries(inOrder(dp.layers)),
    });
  });
});

test('nothing that is stored is left out', () => {
  expect([...compared].sort()).toEqual(Object.keys(FACTS).sort());
});
