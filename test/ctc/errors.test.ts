/** What ctcLoss and ctcPosterior refuse, before anything is computed, and what they refuse for want of memory. */
import {
  ctcLoss,
  ctcPosterior,
  grad,
  memory,
  OutOfMemoryError,
  random,
  tensor,
  type Tensor,
  valueAndGrad,
  vjp,
  zeros,
} from 'tapegrad';

describe('errors come before anything is computed', () => {
  const x = random(12).normal([6, 2, 4]);
  const one = random(12).normal([6, 4]);
  test.each([
    [() => ctcLoss(x, [[1, 2], [4]]), '[ctcLoss] sequence 1: label 0 is 4; it must be a class in [0, 4)'],
    [() => ctcLoss(x, [[1, 0], [2]]), '[ctcLoss] sequence 0: label 1 is 0, which is the blank'],
    [() => ctcLoss(x, [[1.5], [2]]), '[ctcLoss] sequence 0: label 0 is 1.5; it must be a whole number that fits int32'],
    [
      () => ctcLoss(x, [[1], [2 ** 32 + 1]]),
      '[ctcLoss] sequence 1: label 0 is 4294967297; it must be a whole number that fits int32',
    ],
    [
      () => ctcLoss(x, [[1], [2]], [6, 7]),
      `[ctcLoss] sequence 1: input length is 7; the scores have 6 frames: the scores [6, 2, 4] read as T = 6, N = 2, C = 4 (layout 'TNC')`,
    ],
    [() => ctcLoss(x, [[1], [2]], [6, -1]), '[ctcLoss] sequence 1: input length is -1; it must not be negative'],
    [
      () => ctcLoss(x, [[1], [2]], [6, 5.5]),
      '[ctcLoss] sequence 1: input length is 5.5; it must be a whole number that fits int32',
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, [NaN, 1]),
      '[ctcLoss] sequence 0: target length is NaN; it must be a whole number that fits int32',
    ],
    [
      () => ctcLoss(x, [[1], [2]], [6]),
      `[ctcLoss] 1 input lengths for 2 sequences: the scores [6, 2, 4] read as T = 6, N = 2, C = 4 (layout 'TNC')`,
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, null as never),
      '[ctcLoss] the options are null; they must be an object: { inputLengths, targetLengths, layout, blank, from, reduction, zeroInfinity }',
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, { zeroInfinity: 'no' as never }),
      "[ctcLoss] zeroInfinity is 'no'; it must be true or false",
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, [1, 2]),
      '[ctcLoss] sequence 1: target length is 2; its list has 1 labels',
    ],
    [
      () => ctcLoss(x, tensor([[1], [2]], { dtype: 'int32' }), undefined, [1, 2]),
      '[ctcLoss] sequence 1: target length is 2; the targets are 1 wide',
    ],
    [
      () => ctcLoss(x, Int32Array.of(1, 2, 3), undefined, [1, 1]),
      '[ctcLoss] the concatenated targets hold 3 labels; the target lengths add up to 2',
    ],
    [
      () => ctcLoss(x, Int32Array.of(1, 2)),
      `[ctcLoss] 1-D targets of 2 sequences need target lengths: the scores [6, 2, 4] read as T = 6, N = 2, C = 4 (layout 'TNC')`,
    ],
    [
      () => ctcLoss(x, [[1], [2], [3]]),
      `[ctcLoss] 3 target lists for 2 sequences: the scores [6, 2, 4] read as T = 6, N = 2, C = 4 (layout 'TNC')`,
    ],
    [() => ctcLoss(x, tensor([1.5, 2])), '[ctcLoss] targets is float32; it must hold integers'],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, { blank: 4 }),
      '[ctcLoss] blank is 4; it must be a class in [0, 4)',
    ],
    [() => ctcLoss(x.reshape([48]), [[1], [2]]), '[ctcLoss] the scores are [48]; they must be [T, N, C] or [T, C]'],
    [() => ctcLoss(x.cast('int32'), [[1], [2]]), '[ctcLoss] the scores are int32; they must be a float dtype'],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, { from: 'probs' as 'logits' }),
      "[ctcLoss] from is 'probs'; it must be 'logProbs' or 'logits'",
    ],
    [
      () => ctcLoss(x, [[1], [2]], undefined, undefined, { reduction: 'max' as 'mean' }),
      "[ctcLoss] reduction is 'max'; it must be 'none', 'mean' or 'sum'",
    ],
    [
      () => ctcLoss(x, [new DataView(new ArrayBuffer(8)) as never, [1]]),
      '[ctcLoss] sequence 0: its targets are a DataView, not a list of labels',
    ],
    [() => ctcLoss(x, [[1], null as never]), '[ctcLoss] sequence 1: its targets are null, not a list of labels'],
    [() => ctcLoss(one, [1.5, 2]), '[ctcLoss] targets: element 0 is 1.5; int32 holds whole numbers in [-2^31, 2^31)'],
    [
      () => ctcLoss(one, BigInt64Array.of(2n ** 40n)),
      '[ctcLoss] targets: element 0 is 1099511627776; int32 holds whole numbers in [-2^31, 2^31)',
    ],
    [
      () => ctcLoss(one, null as never),
      '[ctcLoss] targets: cannot make a tensor of null; it takes numbers, booleans, nested arrays, typed arrays and ndarrays',
    ],
    [
      () => ctcLoss(x, [[1], [2]], '6' as never),
      '[ctcLoss] inputLengths: cannot make a tensor of a string; it takes numbers, booleans, nested arrays, typed arrays and ndarrays',
    ],
    [
      () => ctcLoss(x, [[1], [2]], [[6], [6, 6]] as never),
      '[ctcLoss] inputLengths: ragged data: an array of length 2 at depth 1, where its neighbour gives shape [2, 1]',
    ],
    [() => ctcPosterior(x, [[1], [9]]), '[ctcPosterior] sequence 1: label 0 is 9; it must be a class in [0, 4)'],
  ])('%#', (call, message) => {
    expect(call).toThrow(new Error(message));
  });
});

test('an empty batch has no losses, whatever the layout of its targets', () => {
  for (const targets of [[], new Int32Array(0), zeros([0, 3], { dtype: 'int32' })]) {
    const [value, gradient] = valueAndGrad((t: Tensor) => ctcLoss(t, targets, [], []).sum())(zeros([5, 0, 3]));
    expect([value.itemSync(), gradient.shape]).toEqual([0, [5, 0, 3]]);
  }
  expect(ctcLoss(zeros([5, 0, 3]), []).shape).toEqual([0]);
});

test('a target that is much too long is impossible, and takes no memory', () => {
  const x = random(3).normal([16_384, 2, 2]);
  const f = (t: Tensor): Tensor =>
    ctcLoss(t, [new Int32Array(20_000).fill(1), [1]], undefined, undefined, { from: 'logits' });
  const [losses, gradient] = vjp(f, x, tensor([1, 1]));
  expect([losses.dataSync()[0], Number.isFinite(losses.dataSync()[1])]).toEqual([Infinity, true]);
  const [first, second] = [0, 1].map((n) => gradient.take([n], 1).abs().max().itemSync());
  expect([first, second! > 0.1]).toEqual([0, true]);
});

test('scratch memory beyond 4 GiB is refused where the states alone would fit', () => {
  const x = zeros([53_700_000, 1]);
  const f = (t: Tensor): Tensor => ctcLoss(t, [], undefined, undefined, { from: 'logits' });
  expect(() => grad(f)(x)).toThrow(/\[ctcLoss\] 53700000 frames of 1 classes and 0 labels need \d+ bytes/);
  expect(() => f(zeros([268_500_000, 1]))).toThrow(OutOfMemoryError);
  expect(memory().usedBytes).toBe(0);
});

test('states that no address space holds are refused, not computed wrong', () => {
  const frames = 2 ** 15;
  const target = new Int32Array(2 ** 14).fill(1);
  const x = tensor(new Float32Array(frames * 2), { shape: [frames, 1, 2] });
  expect(() => grad((t: Tensor) => ctcLoss(t, [target], undefined, undefined, { from: 'logits' }).sum())(x)).toThrow(
    /\[ctcLoss\] 32768 frames of 2 classes and 16384 labels need \d+ bytes/,
  );
  expect(Number.isFinite(ctcLoss(tensor([[0, 1]]), [1]).itemSync())).toBe(true);
});
