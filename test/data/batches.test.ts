import { bucketedBatches, padSequences, random, shuffledBatches, tensor, valueAndGrad } from 'tapegrad';

describe('padSequences', () => {
  test('fills up the ends', () => {
    const { padded, lengths } = padSequences(
      [
        tensor([[1, 2]]),
        tensor([
          [3, 4],
          [5, 6],
          [7, 8],
        ]),
        tensor([], { shape: [0, 2] }),
      ],
      { value: -1 },
    );
    expect(lengths).toEqual([1, 3, 0]);
    expect(padded.arraySync()).toEqual([
      [
        [1, 2],
        [-1, -1],
        [-1, -1],
      ],
      [
        [3, 4],
        [5, 6],
        [7, 8],
      ],
      [
        [-1, -1],
        [-1, -1],
        [-1, -1],
      ],
    ]);
  });

  test('rounds the length up, keeps the dtype', () => {
    const { padded } = padSequences([tensor([1, 2, 3], { dtype: 'int32' })], { multipleOf: 4 });
    expect(padded.arraySync()).toEqual([[1, 2, 3, 0]]);
    expect(padded.dtype).toBe('int32');
  });

  test('gradients pass through to the sequences alone', () => {
    const [, gradient] = valueAndGrad((x: ReturnType<typeof tensor>) =>
      padSequences([x, tensor([1, 1, 1])], { value: 5 })
        .padded.square()
        .sum(),
    )(tensor([2, 3]));
    expect(gradient.arraySync()).toEqual([4, 6]);
  });

  test('bad input', () => {
    expect(() => padSequences([])).toThrow('[padSequences] there are no sequences');
    expect(() => padSequences([tensor([[1, 2]]), tensor([[1, 2, 3]])])).toThrow(
      'sequence 1 is [1, 3]; like sequence 0 it must be [length, 2]',
    );
    expect(() => padSequences([tensor(1)])).toThrow('sequence 0 is []');
    expect(() => padSequences([tensor([1])], { multipleOf: 0 })).toThrow('multipleOf is 0');
  });
});

test('shuffledBatches: everything once, in an order that the seed decides', () => {
  const batches = shuffledBatches(10, 4, random(1));
  expect(batches.map((batch) => batch.length)).toEqual([4, 4, 2]);
  expect(batches.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(shuffledBatches(10, 4, random(1))).toEqual(batches);
  expect(shuffledBatches(10, 4, random(2))).not.toEqual(batches);
  expect(shuffledBatches(0, 4, random(1))).toEqual([]);
  expect(() => shuffledBatches(3, 0, random(1))).toThrow('[shuffledBatches] size is 0');
});

describe('bucketedBatches', () => {
  const lengths = Array.from({ length: 200 }, (_, i) => 1 + ((i * 37) % 90));

  test('everything once, no batch above the limit, little filling', () => {
    const batches = bucketedBatches(lengths, 400, random(3));
    expect(batches.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    const sizes = batches.map((batch) => batch.length * Math.max(...batch.map((n) => lengths[n]!)));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(400);
    const filled = sizes.reduce((a, b) => a + b);
    const real = lengths.reduce((a, b) => a + b);
    expect(filled / real).toBeLessThan(1.15);
    expect(batches.map((batch) => lengths[batch[0]!])).not.toEqual(
      batches.map((batch) => lengths[batch[0]!]!).sort((a, b) => a - b),
    );
  });

  test('bad input', () => {
    expect(() => bucketedBatches([3, 401], 400, random(1))).toThrow(
      '[bucketedBatches] sequence 1 has 401 frames; a batch holds at most 400',
    );
    expect(() => bucketedBatches([0.5], 400, random(1))).toThrow('length 0 is 0.5');
  });
});
