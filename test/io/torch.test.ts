import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DTypeError,
  FormatError,
  fromTorch,
  type FromTorchOptions,
  loadSafetensors,
  nn,
  random,
  relu,
  restoreTree,
  type Tensor,
  tensor,
  ValueError,
} from 'tapegrad';

/** Files of torch 1.13, made by torch/make.py: state_dicts as safetensors, and what the modules give. */
const file = (name: string): Uint8Array => readFileSync(join(__dirname, 'torch', `${name}.safetensors`));
const load = (name: string, options?: FromTorchOptions) => ({
  ...fromTorch(loadSafetensors(file(name)).tensors, options),
  facts: loadSafetensors(file(`${name}.facts`)).tensors,
});

/** The same values, within 1e-5 of the largest. */
function expectTorch(actual: Tensor, expected: Tensor): void {
  expect(actual.shape).toEqual(expected.shape);
  const wanted = Array.from(expected.dataSync());
  const bound = 1e-5 * Math.max(...wanted.map(Math.abs));
  actual.dataSync().forEach((value, i) => {
    expect(Math.abs(value - wanted[i]!)).toBeLessThanOrEqual(bound);
  });
}

/** The tensors of a template whose parts have other names than torch's. */
const part = <T>(template: T, tensors: Readonly<Record<string, Tensor>>, prefix: string): T =>
  restoreTree(template, tensors, { prefix });

describe('modules of torch give the same here', () => {
  test('a recogniser: convolutions, batchNorm, two bidirectional layers, layerNorm, linear', () => {
    const { params, state, facts } = load('recogniser');
    const model = nn.group({
      front: nn.sequential(
        nn.conv1d(5, 8, 3, { stride: 2, padding: 1 }),
        nn.batchNorm(8),
        relu,
        nn.conv1d(8, 6, 4, { bias: false }),
      ),
      rnn: nn.gru(6, 7, { layers: 2, bidirectional: true }),
      norm: nn.layerNorm(14),
      head: nn.linear(14, 4),
    });
    const restored = restoreTree(model.init(random(1)), params);
    const statistics = restoreTree(model.initState(), state);
    expectTorch(model.apply(restored, facts.x!, { state: statistics }), facts.y!);
  });

  test('images, with channels last', () => {
    const { params, state, facts } = load('images');
    const model = nn.sequential(
      nn.conv2d(3, 4, [3, 2], { padding: [1, 0] }),
      relu,
      nn.batchNorm(4),
      nn.conv2d(4, 2, 3),
    );
    const y = model.apply(restoreTree(model.init(random(1)), params), facts.x!.permute([0, 2, 3, 1]), {
      state: restoreTree(model.initState(), state),
    });
    expectTorch(y.permute([0, 3, 1, 2]), facts.y!);
  });

  test.each<[string, nn.Layer<unknown>]>([
    ['lstm', nn.lstm(3, 5)],
    ['plain', nn.gru(3, 4)],
    ['deep', nn.lstm(3, 4, { layers: 3 })],
    ['both', nn.lstm(3, 4, { bidirectional: true })],
    ['cell', nn.gru(3, 4)],
  ])('recurrent layers: %s', (name, layer) => {
    const { params, facts } = load('recurrent');
    const y = layer.apply(part(layer.init(random(1)), params, name), facts.x!);
    expectTorch(name === 'cell' ? y.slice([], -1) : y, facts[name]!);
  });

  test('attention: of itself, of another, without biases; and an out_proj that is no part of it', () => {
    const { params, facts } = load('attention');
    const { x, memory } = facts as { x: Tensor; memory: Tensor };
    const own = nn.multiHeadAttention(8, 2);
    expectTorch(own.apply(part(own.init(random(1)), params, 'self'), x), facts.self!);
    const cross = nn.multiHeadAttention(8, 4, { memoryFeatures: 5 });
    expectTorch(cross.apply(part(cross.init(random(1)), params, 'cross'), x, { memory }), facts.cross!);
    const bare = nn.multiHeadAttention(8, 2, { bias: false });
    expectTorch(bare.apply(part(bare.init(random(1)), params, 'bare'), x), facts.bare!);
    const head = nn.linear(8, 3);
    expectTorch(head.apply(part(head.init(random(1)), params, 'head.out_proj'), x), facts.head!);
  });

  test('transposed and depthwise convolutions', () => {
    const { params, facts } = load('transposed', { transposed: { up: 1, grouped: 2, image: 1 } });
    const x = facts.x!.transpose(1, 2);
    const layers = {
      up: nn.convTranspose1d(4, 6, 3, { stride: 2, padding: 1, outputPadding: 1 }),
      grouped: nn.convTranspose1d(4, 6, 3, { stride: 2, groups: 2 }),
      depthwise: nn.conv1d(4, 8, 3, { groups: 4 }),
    };
    for (const [name, layer] of Object.entries(layers))
      expectTorch(layer.apply(part(layer.init(random(1)), params, name), x).transpose(1, 2), facts[name]!);
    const image = nn.convTranspose2d(3, 2, [2, 3], { stride: [1, 2] });
    const y = image.apply(part(image.init(random(1)), params, 'image'), facts.pixels!.permute([0, 2, 3, 1]));
    expectTorch(y.permute([0, 3, 1, 2]), facts.image!);
  });

  test('an embedding by int64 indices', () => {
    const { tensors, raw } = loadSafetensors(file('integers'), { integers: 'int32' });
    expect(raw).toEqual({});
    expect([tensors.ids!.dtype, tensors.ids!.arraySync()]).toEqual([
      'int32',
      [
        [1, 5, 0],
        [6, 6, 2],
      ],
    ]);
    expect(tensors.bytes!.arraySync()).toEqual([0, 255]);
    expect(tensors.half!.dtype).toBe('float16');
    const model = nn.sequential(nn.embedding(7, 3), nn.linear(3, 2));
    const { params } = fromTorch(tensors, { embeddings: ['0'] });
    const rest: string[] = [];
    const restored = restoreTree(model.init(random(1)), params, { partial: ({ unused }) => rest.push(...unused) });
    expect(rest.sort()).toEqual(['bytes', 'half', 'ids']);
    expectTorch(model.apply(restored, tensors.ids!), loadSafetensors(file('integers.facts')).tensors.y!);
  });
});

describe('refused', () => {
  test('a number that int32 does not hold, by name and place', () => {
    expect(loadSafetensors(file('large')).raw.step!.dtype).toBe('I64');
    const call = (): unknown => loadSafetensors(file('large'), { integers: 'int32' });
    expect(call).toThrow(ValueError);
    expect(call).toThrow(
      "[loadSafetensors] the I64 tensor 'step' has 2147483648 at position 2; int32 holds whole numbers in [-2^31, 2^31)",
    );
    expect(() => loadSafetensors(file('large'), { integers: 'int64' as never })).toThrow(
      "[loadSafetensors] integers is 'int64'; it must be 'raw' or 'int32'",
    );
  });

  const t = tensor([[1, 2]]);
  test.each<[Readonly<Record<string, unknown>>, FromTorchOptions, new (...args: never[]) => Error, string]>([
    [
      { 'rnn.weight_hr_l0': t },
      {},
      FormatError,
      "[fromTorch] 'rnn.weight_hr_l0' has no counterpart in the layers of nn",
    ],
    [{ 'conv.weight_v': t }, {}, FormatError, "[fromTorch] 'conv.weight_v' has no counterpart"],
    [
      { 'a.in_proj_weight': t },
      {},
      FormatError,
      "'a.in_proj_weight' is [1, 2]; its rows do not make query, key and value",
    ],
    [{ w: 3 }, {}, DTypeError, "[fromTorch] 'w' is 3, not a tensor"],
    [
      {},
      { transposed: { up: 1 } },
      ValueError,
      "transposed names 'up', but there is no tensor of that name and '.weight'",
    ],
    [{ 'a.weight': t }, { embeddings: ['b'] }, ValueError, "[fromTorch] embeddings names 'b', but there is no tensor"],
    [{ 'a.weight': t }, { embeddings: 'a' as never }, ValueError, "[fromTorch] embeddings is 'a'; it must be an array"],
    [{ 'up.weight': t }, { transposed: { up: 0 } }, ValueError, "transposed has 0 groups for 'up'"],
    [{ 'up.weight': tensor([[[1]]]) }, { transposed: { up: 2 } }, FormatError, '1 channels do not make 2 groups'],
  ])('%#', (tensors, options, Kind, message) => {
    const call = (): unknown => fromTorch(tensors as never, options);
    expect(call).toThrow(Kind);
    expect(call).toThrow(message);
  });

  test('names that JavaScript objects have anyway', () => {
    const { params, state } = fromTorch({ 'constructor.weight': tensor([[[1, 2]]]), toString: t });
    expect([Object.keys(params), params['constructor.weight']!.shape, state]).toEqual([
      ['constructor.weight', 'toString'],
      [1, 2, 1],
      {},
    ]);
  });
});
