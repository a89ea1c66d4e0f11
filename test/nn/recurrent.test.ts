import { grad, mapTensors, nn, random, type Tensor, tensor, valueAndGrad } from 'tapegrad';
import { expectClose, gradCheckTree, inFloat64, wave } from './wave.js';

/* The constants were computed with torch 1.13 in float64, on packed sequences of lengths 4, 2 and 1, on the same waves. */

const GRU_OUTPUT = [
  -0.512396642, -0.584933948, -0.00886704991, -0.431913675, 0.0605607779, 0.858731966, -0.774578374, -0.866586116,
  -0.0120324632, 0.11463089, -0.520617722, 0.794397779, -0.864811095, -0.557420377, 0.567386095, 0.717678455,
  0.273751222, 0.723416291, -0.886841418, 0.152618118, 0.926826882, 0.539253189, 0.910528837, 0.561321422, -0.352783471,
  -0.286557571, 0.514203288, -0.259421433, 0.692205391, 0.776163707, -0.59093431, -0.837524477, 0.155467569,
  -0.578196509, -0.131478059, 0.486572997, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -0.208737319, 0.1582959, 0.784762376,
  0.428097587, 0.876864922, 0.628279174, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const GRU_HIDDEN = [
  -0.886841418, 0.152618118, 0.926826882, -0.59093431, -0.837524477, 0.155467569, -0.208737319, 0.1582959, 0.784762376,
  -0.431913675, 0.0605607779, 0.858731966, -0.259421433, 0.692205391, 0.776163707, 0.428097587, 0.876864922,
  0.628279174,
];
const GRU_DX = [
  -0.540580312, -0.558883854, -0.429157204, -0.330178324, 0.478582802, 0.256162514, -0.313523211, -0.852104037,
  -0.0667374746, -0.121475256, 0.631415636, 0.437115348, 0, 0, 0, 0, 0.310155377, 0.486292784, 0, 0, 0, 0, 0, 0,
];
const GRU_D_WEIGHT_HIDDEN_BACKWARD = [
  0.0242677167, 0.000834246864, -0.006947318, -0.0178420875, 0.047056575, 0.0200927933, -0.0190940809, 0.00331875258,
  0.00977272414, 0.112850324, 0.027326413, 0.126829179, 0.178858782, 0.0444283072, 0.0597509037, 0.0334879435,
  -0.00268493561, -0.0446436549, 0.292216494, -0.0919531554, 0.727692319, -0.0361048767, -0.0856771854, 0.0827362149,
  -0.0359661346, -0.000163953906, 0.0190758018,
];
const GRU_D_BIAS_HIDDEN = [
  -0.0193257183, -0.120902487, -0.0652793967, 0.102416731, -0.103382701, 0.00911192628, 0.150129399, 0.160933397,
  -0.425060108,
];
const LSTM_OUTPUT = [
  -0.53592369, -0.567158141, 0.0409748989, -0.392676455, 0.194768588, 0.082802007, -0.532185698, -0.734403605,
  0.138701336, -0.200961421, -0.0817960927, 0.054005144, -0.42798754, -0.458407488, 0.602676224, 0.418055189,
  0.153061901, 0.243234966, -0.529928285, -0.069374233, 0.638278254, 0.174951382, 0.336445548, 0.328973949, -0.48933046,
  -0.268058674, 0.326301367, -0.15267128, 0.33010218, 0.194169895, -0.597980633, -0.682951559, 0.22331271, -0.513747072,
  0.0111642115, 0.0153878713, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -0.399863651, 0.0618575288, 0.456861893, 0.185902412,
  0.303618912, 0.291679406, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
const LSTM_HIDDEN = [
  -0.529928285, -0.069374233, 0.638278254, -0.597980633, -0.682951559, 0.22331271, -0.399863651, 0.0618575288,
  0.456861893, -0.392676455, 0.194768588, 0.082802007, -0.15267128, 0.33010218, 0.194169895, 0.185902412, 0.303618912,
  0.291679406,
];
const LSTM_CELL = [
  -1.34312063, -0.153377239, 0.916395995, -0.840794025, -0.963075564, 0.29638133, -0.667126958, 0.099601631,
  0.671447209, -0.505384817, 0.342598778, 0.379533398, -0.245304395, 0.588302143, 0.462797047, 0.353652551, 0.569565481,
  0.521505582,
];
const LSTM_DX = [
  -0.433940817, -0.505264762, -0.0864349195, -0.16587205, 0.153286464, 0.19069634, 0.0381463258, -0.173875129,
  0.107857321, 0.0101096748, 0.674709659, 0.524029908, 0, 0, 0, 0, -0.043086142, 0.130378644, 0, 0, 0, 0, 0, 0,
];
const LSTM_D_WEIGHT_HIDDEN_BACKWARD = [
  0.00481297223, -0.00707368475, -0.011569185, -0.0730383624, -0.0137953668, -0.0191885354, -0.0375216573,
  -0.00105052768, -0.00327208041, 0.031309372, 0.00167276181, 0.00453607959, 0.00977827294, 0.00183073082,
  0.00460869259, 0.000621420755, -0.000101996816, -0.00113123436, 0.0486138124, 0.00518863502, 0.0821195884,
  0.0425581488, 0.00602282421, 0.019563604, -0.00908549272, -0.000962630488, -0.00111237289, 0.00926687005,
  -0.0144501575, -0.0196848278, -0.0824044841, -0.019923349, -0.0234611127, -0.0323839994, -0.00119613857,
  -0.00253355397,
];
const LSTM_D_BIAS_HIDDEN = [
  -0.082124827, 0.00585525508, -0.100258194, -0.0459334007, 0.00426836475, -0.0535828875, 0.102925345, -0.00840040881,
  -0.739391452, -0.173132833, -0.0103992928, -0.104392544,
];

const LENGTHS = [4, 2, 1];
const [FEATURES, HIDDEN] = [2, 3];

function params(gates: number): nn.RecurrentParams {
  let phase = 0.2;
  const next = (shape: number[]): Tensor => {
    const values = wave(shape, phase, 0.8);
    phase += 0.3;
    return values;
  };
  const direction = (): nn.DirectionParams => ({
    weightInput: next([gates * HIDDEN, FEATURES]),
    weightHidden: next([gates * HIDDEN, HIDDEN]),
    biasInput: next([gates * HIDDEN]),
    biasHidden: next([gates * HIDDEN]),
  });
  return { forward: direction(), backward: direction() };
}

const x = wave([3, 4, FEATURES], 0.1);

describe.each([
  {
    name: 'gru',
    layer: nn.gru(FEATURES, HIDDEN, { bidirectional: true }),
    gates: 3,
    output: GRU_OUTPUT,
    hidden: GRU_HIDDEN,
    cell: null,
    dx: GRU_DX,
    dWeightHidden: GRU_D_WEIGHT_HIDDEN_BACKWARD,
    dBiasHidden: GRU_D_BIAS_HIDDEN,
  },
  {
    name: 'lstm',
    layer: nn.lstm(FEATURES, HIDDEN, { bidirectional: true }),
    gates: 4,
    output: LSTM_OUTPUT,
    hidden: LSTM_HIDDEN,
    cell: LSTM_CELL,
    dx: LSTM_DX,
    dWeightHidden: LSTM_D_WEIGHT_HIDDEN_BACKWARD,
    dBiasHidden: LSTM_D_BIAS_HIDDEN,
  },
])('$name', ({ name, layer, gates, output, hidden, cell, dx, dWeightHidden, dBiasHidden }) => {
  test('outputs and states of ragged sequences, both directions', () => {
    const result = layer.run(params(gates), x, { lengths: LENGTHS });
    expect(result.output.shape).toEqual([3, 4, 2 * HIDDEN]);
    expectClose(result.output, output);
    expect(result.state.hidden.shape).toEqual([2, 3, HIDDEN]);
    expectClose(result.state.hidden, hidden);
    if (cell) expectClose((result.state as nn.LstmState).cell, cell);
  });

  test('gradients of ragged sequences', () => {
    const lossOf = (p: nn.RecurrentParams, input: Tensor): Tensor =>
      layer
        .apply(p, input, { lengths: LENGTHS })
        .mul(wave([3, 4, 2 * HIDDEN], 0.4))
        .sum();
    const [, [dParams, dInput]] = valueAndGrad(lossOf, { argnums: [0, 1] })(params(gates), x);
    expectClose(dInput, dx);
    expectClose(dParams.backward!.weightHidden, dWeightHidden);
    expectClose(dParams.forward.biasHidden, dBiasHidden);
  });

  test('lengths may be an integer tensor or left out, and frames beyond them may hold anything', () => {
    const lengths = tensor(LENGTHS, { dtype: 'int32' });
    const spoiled = x.dataSync();
    LENGTHS.forEach((length, n) => {
      spoiled.fill(NaN, (n * 4 + length) * FEATURES, (n + 1) * 4 * FEATURES);
    });
    const bad = tensor(spoiled, { shape: x.shape });
    expectClose(layer.apply(params(gates), bad, { lengths }), output);
    const [, dWeights] = valueAndGrad((p: nn.RecurrentParams) =>
      layer
        .apply(p, bad, { lengths })
        .mul(wave([3, 4, 2 * HIDDEN], 0.4))
        .sum(),
    )(params(gates));
    expectClose(dWeights.backward!.weightHidden, dWeightHidden);
    const whole = layer.apply(params(gates), x);
    expectClose(whole, Array.from(layer.apply(params(gates), x, { lengths: [4, 4, 4] }).dataSync()), 0);
    expectClose(whole.slice([0, 1]), output.slice(0, 4 * 2 * HIDDEN));
  });

  test('a state at the end is a state to begin with', () => {
    const one =
      name === 'gru' ? nn.gru(FEATURES, HIDDEN) : (nn.lstm(FEATURES, HIDDEN) as nn.RecurrentLayer<nn.GruState>);
    const weights = { forward: params(gates).forward, backward: null };
    const whole = one.run(weights, x);
    const first = one.run(weights, x.slice([], [0, 3]));
    const rest = one.run(weights, x.slice([], [3, 4]), { initial: first.state });
    expectClose(rest.output, Array.from(whole.output.slice([], [3, 4]).dataSync()), 1e-15);
    expectClose(rest.state.hidden, Array.from(whole.state.hidden.dataSync()), 1e-15);
  });

  test('a sequence of length 0 keeps its state and puts out zeros', () => {
    const result = layer.run(params(gates), x, { lengths: [4, 0, 1] });
    expect(Array.from(result.output.slice([1, 2]).dataSync()).every((value) => value === 0)).toBe(true);
    expect(Array.from(result.state.hidden.slice([], [1, 2]).dataSync()).every((value) => value === 0)).toBe(true);
  });

  test('first derivatives agree with finite differences, second ones too', () => {
    const small = inFloat64(layer.init(random(2)));
    expect(() => {
      gradCheckTree(
        (p: nn.RecurrentParams, input) => layer.apply(p, input, { lengths: [2, 1] }),
        small,
        wave([2, 2, FEATURES], 0.3),
        { order: 2 },
      );
    }).not.toThrow();
  });

  test('bad input', () => {
    expect(() => layer.apply(params(gates), wave([3, 4, 5], 0))).toThrow(
      `[${name}] x is [3, 4, 5]; it must be [N, T, 2]`,
    );
    expect(() => layer.apply(params(gates), x, { lengths: [4, 5, 1] })).toThrow(
      `[${name}] sequence 1: length is 5; it must be in [0, 4]`,
    );
    expect(() => layer.apply(params(gates), x, { lengths: [4] })).toThrow(`[${name}] 1 lengths for 3 sequences`);
    expect(() =>
      layer.run(params(gates), x, { initial: { hidden: wave([1, 3, 3], 0), cell: wave([1, 3, 3], 0) } }),
    ).toThrow('initial hidden is [1, 3, 3]');
    // The kernels read the weights by the layer's sizes: others must not get there.
    const given = params(gates);
    for (const part of ['weightInput', 'weightHidden', 'biasInput', 'biasHidden'] as const) {
      const wrong = wave(
        given.backward![part].shape.map((size) => size - 1),
        0,
      );
      expect(() => layer.apply({ ...given, backward: { ...given.backward!, [part]: wrong } }, x)).toThrow(
        `[${name}] ${part} is [${wrong.shape.join(', ')}]; it must be [${given.backward![part].shape.join(', ')}]`,
      );
    }
  });
});

test.each(['lstm', 'gru'] as const)('%s: infinite weights do not reach sequences without frames', (cell) => {
  for (const dtype of ['float32', 'float64'] as const)
    for (const hidden of [2, 5, 16]) {
      const rng = random(hidden);
      const layer = nn[cell](3, hidden, { bidirectional: true });
      const params = mapTensors((t, path) => {
        if (!path.endsWith('weightHidden')) return t.cast(dtype);
        const [first] = t.split([1, t.shape[0]! - 1]);
        return first!
          .mul(0)
          .add(Infinity)
          .concat([t.slice([1])])
          .cast(dtype);
      }, layer.init(rng));
      const x = rng.normal([9, 4, 3], { dtype });
      const start = rng.normal([2, 9, hidden], { dtype });
      const lengths = [4, 0, 0, 0, 0, 0, 0, 0, 0];
      const gradient = grad((given: Tensor) => {
        const initial = { hidden: given, cell: given };
        return (layer as nn.RecurrentLayer<nn.LstmState>).run(params, x, { lengths, initial }).state.hidden.sum();
      })(start);
      expect(new Set(gradient.slice([], [1]).dataSync())).toEqual(new Set([1]));
    }
});

describe('stacked layers', () => {
  const stacked = nn.gru(2, 3, { layers: 3, bidirectional: true, dropout: 0.4 });
  const params = stacked.init(random(4));

  test('have parameters of their own, and one is as it always was', () => {
    expect(params.layers.map(({ forward }) => forward.weightInput.shape)).toEqual([
      [9, 2],
      [9, 6],
      [9, 6],
    ]);
    expect(Object.keys(nn.gru(2, 3, { layers: 1 }).init(random(1)))).toEqual(['forward', 'backward']);
  });

  test('are single layers one after the other', () => {
    const singles = params.layers.map((_, l) => nn.gru(l === 0 ? 2 : 6, 3, { bidirectional: true }));
    const input = x.cast('float32');
    const wanted = singles.reduce((t, layer, l) => layer.apply(params.layers[l]!, t, { lengths: LENGTHS }), input);
    expect(stacked.apply(params, input, { lengths: LENGTHS }).arraySync()).toEqual(wanted.arraySync());
    const first = stacked.run(params, input.slice([], [0, 2]));
    expect(first.state.hidden.shape).toEqual([6, 3, 3]);
    const one = nn.gru(2, 3, { layers: 2 });
    const own = one.init(random(1));
    const { output } = one.run(own, input.slice([], [2, 4]), { initial: one.run(own, input.slice([], [0, 2])).state });
    expectClose(output, Array.from(one.apply(own, input).slice([], [2, 4]).dataSync()), 1e-6);
  });

  test('drop what goes from one to the next, in training only', () => {
    const input = x.cast('float32');
    const numbers = (t: Tensor): number[] => Array.from(t.dataSync());
    const plainly = numbers(stacked.apply(params, input));
    const dropped = numbers(stacked.apply(params, input, { random: random(1) }));
    expect(dropped).not.toEqual(plainly);
    expect(numbers(stacked.apply(params, input, { random: random(1) }))).toEqual(dropped);
    expect(numbers(stacked.apply(params, input, { random: random(1), training: false }))).toEqual(plainly);
    expect(() => stacked.apply(params, input, { training: true })).toThrow('[gru] in training it needs a source');
    expect(() => nn.gru(2, 3, { dropout: 0.4 })).toThrow(
      '[gru] dropout is 0.4, and acts between layers, of which there is 1; write { layers: 2 } or more, or put nn.dropout(0.4) behind it',
    );
    expect(() => nn.lstm(2, 3, { layers: 1, dropout: 0 })).not.toThrow();
    expect(() => {
      gradCheckTree(
        (p: nn.StackedRecurrentParams, t) => stacked.apply(p, t, { random: random(1), lengths: [2, 1] }),
        inFloat64(params),
        wave([2, 2, 2], 0.3),
      );
    }).not.toThrow();
  });

  test('bad input', () => {
    const loose = stacked.apply.bind(stacked) as (...given: unknown[]) => unknown;
    expect(() => loose(params.layers[0], x)).toThrow('[gru] the parameters have undefined as layers');
    expect(() => loose({ layers: params.layers.slice(1) }, x)).toThrow(
      '[gru] the parameters have 2 layers; they must be',
    );
    expect(() => loose({ layers: [1, 2, 3] }, x)).toThrow('[gru] the parameters of layer 0 are 1');
    expect(() => stacked.run(params, x, { initial: { hidden: wave([2, 3, 3], 0) } })).toThrow(
      'initial hidden is [2, 3, 3]; it must be [layers * directions, N, hidden] = [6, 3, 3]',
    );
    expect(() => nn.lstm(2, 3, { layers: 0 })).toThrow('[lstm] layers is 0');
    expect(() => nn.lstm(2, 3, { dropout: 1 })).toThrow('[lstm] dropout is 1; it must be in [0, 1)');
    expect(() => nn.lstm(2, 3, 2 as never)).toThrow('write { layers: 2 }');
  });
});
