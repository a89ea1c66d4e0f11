import { attention, causalMask, grad, lengthMask, random, sinusoidalPositions, type Tensor, tensor } from 'tapegrad';

const plain = (x: Tensor): number[] => Array.from(x.dataSync());

test('lengthMask', () => {
  expect(lengthMask([2, 0, 3]).arraySync()).toEqual([
    [true, true, false],
    [false, false, false],
    [true, true, true],
  ]);
  expect(lengthMask(tensor([1], { dtype: 'int32' }), { frames: 2 }).arraySync()).toEqual([[true, false]]);
  expect(lengthMask([]).shape).toEqual([0, 0]);
  expect(lengthMask([0]).shape).toEqual([1, 0]);
  expect(() => lengthMask([2, 4], { frames: 3 })).toThrow('[lengthMask] sequence 1: length is 4; it must be in [0, 3]');
  expect(() => lengthMask([-1])).toThrow('[lengthMask] sequence 0: length is -1');
  expect(() => lengthMask([1], 3 as never)).toThrow('write { frames: 3 }');
});

test('causalMask', () => {
  expect(causalMask(2).arraySync()).toEqual([
    [true, false],
    [true, true],
  ]);
  expect(causalMask(2, { keys: 3 }).arraySync()).toEqual([
    [true, true, false],
    [true, true, true],
  ]);
  expect(causalMask(3, { keys: 2 }).arraySync()).toEqual([
    [false, false],
    [true, false],
    [true, true],
  ]);
  expect(() => causalMask(1.5)).toThrow('[causalMask] frames is 1.5');
});

test('sinusoidalPositions', () => {
  const y = sinusoidalPositions(3, 4, { offset: 7, base: 100, dtype: 'float64' });
  const wanted = [7, 8, 9].flatMap((t) => [Math.sin(t), Math.cos(t), Math.sin(t / 10), Math.cos(t / 10)]);
  plain(y).forEach((value, i) => expect(value).toBeCloseTo(wanted[i]!, 14));
  expect(sinusoidalPositions(2, 2).dtype).toBe('float32');
  expect(() => sinusoidalPositions(2, 3)).toThrow('[sinusoidalPositions] features is 3');
  expect(() => sinusoidalPositions(2, 4, { base: -1 })).toThrow('[sinusoidalPositions] base is -1');
});

test('attention drops weights, and nothing else', () => {
  const q = random(1).normal([2, 50, 4]);
  const v = random(2).normal([2, 50, 3]);
  const plainly = attention(q, q, v);
  const dropped = attention(q, q, v, { dropout: 0.3, random: random(3) });
  expect(plain(attention(q, q, v, { dropout: 0.3, random: random(3) }))).toEqual(plain(dropped));
  const mean = Array.from({ length: 200 }, (_, i) => attention(q, q, v, { dropout: 0.3, random: random(i) })).reduce(
    (a, b) => a.add(b),
  );
  expect(mean.div(200).sub(plainly).abs().max().itemSync()).toBeLessThan(0.15);
  expect(dropped.sub(plainly).abs().max().itemSync()).toBeGreaterThan(0.05);
  expect(plain(attention(q, q, v, { dropout: 0, random: random(3) }))).toEqual(plain(plainly));
});

test('what nobody may look at gets no derivative, and gives none', () => {
  const bad = tensor([
    [1, 2],
    [NaN, NaN],
    [3, 4],
  ]);
  const mask = lengthMask([1], { frames: 3 });
  const [dq, dk, dv] = grad((q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { mask }).square().sum(), {
    argnums: [0, 1, 2],
  })(tensor([[1, -1]]), bad, bad);
  for (const d of [dq, dk, dv]) expect(plain(d).every(Number.isFinite)).toBe(true);
  expect(plain(dv)).toEqual([2, 4, 0, 0, 0, 0]);
});
