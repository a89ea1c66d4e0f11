import { checkpoint, grad, hessian, layerNorm, memory, nn, random, scope, type Tensor, valueAndGrad } from 'tapegrad';

/* A bias is added over the product that it belongs to, where that lies in a scope: the same numbers as outside, and one result's memory. */

const rng = random(4);
const LAYERS: Readonly<Record<string, readonly [nn.Layer<{ weight: Tensor; bias: Tensor | null }>, Tensor]>> = {
  linear: [nn.linear(6, 5), rng.normal([4, 3, 6])],
  conv1d: [nn.conv1d(3, 4, 3, { padding: 1 }), rng.normal([2, 7, 3])],
  'conv1d of one element': [nn.conv1d(3, 4, 1), rng.normal([2, 7, 3])],
  'conv1d in groups': [nn.conv1d(4, 6, 3, { groups: 2 }), rng.normal([2, 7, 4])],
  'depthwise conv2d': [nn.conv2d(3, 3, 3, { groups: 3 }), rng.normal([2, 5, 4, 3])],
  convTranspose2d: [nn.convTranspose2d(2, 3, 3, { stride: 2 }), rng.normal([2, 3, 2, 2])],
  layerNorm: [nn.layerNorm(6), rng.normal([4, 6])],
};

const bitsOf = (t: Tensor): Buffer => {
  const { buffer, byteOffset, byteLength } = t.dataSync();
  return Buffer.from(buffer, byteOffset, byteLength);
};

describe.each(Object.entries(LAYERS))('%s', (_name, [layer, x]) => {
  const params = layer.init(rng);
  params.bias?.dataSync();

  test('gives the same bits in a scope as outside, and so do its derivatives', () => {
    const outside = layer.apply(params, x);
    expect(bitsOf(scope(() => layer.apply(params, x))).equals(bitsOf(outside))).toBe(true);
    const loss = (p: typeof params, input: Tensor): Tensor => layer.apply(p, input).square().sum();
    const [value, [own, byX]] = valueAndGrad(loss, { argnums: [0, 1] })(params, x);
    const [again, [repeated, repeatedByX]] = scope(() =>
      valueAndGrad((p: typeof params, input: Tensor) => checkpoint(loss)(p, input), { argnums: [0, 1] })(params, x),
    );
    for (const [a, b] of [
      [value, again],
      [own.weight, repeated.weight],
      [own.bias!, repeated.bias!],
      [byX, repeatedByX],
    ] as const)
      expect(bitsOf(a).equals(bitsOf(b))).toBe(true);
    // The bias is what the square's derivative is taken of: 2 y, summed down.
    const lead = outside.rank - 1;
    const axes = Array.from({ length: lead }, (_, axis) => axis);
    expect(own.bias!.sub(outside.mul(2).sum(axes)).abs().max().itemSync()).toBeLessThan(1e-3);
  });

  test('has second derivatives by the bias', () => {
    const count = layer.apply(params, x).size / params.bias!.size;
    const matrix = hessian((bias: Tensor) =>
      layer
        .apply({ ...params, bias }, x)
        .square()
        .sum(),
    )(params.bias!);
    const size = params.bias!.size;
    matrix.dataSync().forEach((value, i) => {
      expect(value).toBeCloseTo(i % (size + 1) === 0 ? 2 * count : 0, 3);
    });
  });
});

test('in a scope a layer with a bias needs no more memory than one without', () => {
  const used = (bias: boolean): number => {
    const layer = nn.linear(16, 4096, { bias });
    const params = layer.init(rng);
    return scope(() => {
      const x = rng.normal([512, 16]).add(0);
      layer.apply(params, x); // brings the parameters near
      const { usedBytes } = memory();
      layer.apply(params, x);
      return memory().usedBytes - usedBytes;
    });
  };
  expect(used(true)).toBe(used(false));
});

test('what others hold is not written over', () => {
  const layer = nn.linear(3, 3);
  const params = layer.init(rng);
  const x = rng.normal([2, 3]);
  scope(() => {
    const kept = x.add(0);
    const before = bitsOf(kept);
    layer.apply(params, kept);
    layerNorm(kept, { bias: params.bias! });
    grad((t: Tensor) => layer.apply(params, t).sum())(kept);
    expect(bitsOf(kept).equals(before)).toBe(true);
  });
});
