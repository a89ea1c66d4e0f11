/** Targets that come again as the same tensor are not looked at again; whatever else has changed is. */
import { ctcAlign, ctcLoss, random, tensor, type Tensor } from 'tapegrad';

const FRAMES = 9;
const labels = [
  [1, 2, 3],
  [3, 3, 1],
];
const scoresOf = (classes = 4, frames = FRAMES): Tensor => random(1).normal([frames, 2, classes]);
const OPTIONS = { from: 'logits' } as const;

/** The losses of the labels as lists, about which nothing is remembered. */
const fresh = (scores: Tensor, targets: number[][], inputLengths?: number[]): number[] =>
  ctcLoss(scores, targets, inputLengths, undefined, OPTIONS).arraySync<number[]>();

test('the same targets have the same losses, whichever lengths and scores stand beside them', () => {
  const targets = tensor(labels, { dtype: 'int32' });
  const scores = scoresOf();
  const lengths = Int32Array.of(3, 3);
  for (const frames of [FRAMES, 7, FRAMES]) {
    const inputLengths = Int32Array.of(frames, frames - 1);
    for (const given of [inputLengths, [...inputLengths], tensor(inputLengths)])
      for (const counts of [undefined, lengths, [3, 3], tensor(lengths)])
        expect(ctcLoss(scores, targets, given, counts, OPTIONS).arraySync()).toEqual(
          fresh(scores, labels, [...inputLengths]),
        );
  }
  expect(ctcLoss(scores, targets, undefined, undefined, OPTIONS).arraySync()).toEqual(fresh(scores, labels));
  expect(ctcLoss(scoresOf(6), targets, undefined, undefined, OPTIONS).arraySync()).toEqual(fresh(scoresOf(6), labels));
});

test('arrays of lengths that change between two calls are seen', () => {
  const targets = tensor(labels, { dtype: 'int32' });
  const [inputLengths, targetLengths] = [Int32Array.of(9, 9), Int32Array.of(3, 3)];
  const loss = (): Tensor => ctcLoss(scoresOf(), targets, inputLengths, targetLengths, OPTIONS);
  loss();
  inputLengths[0] = 5;
  targetLengths[1] = 1;
  expect(loss().arraySync()).toEqual(fresh(scoresOf(), [labels[0]!, [3]], [5, 9]));
  inputLengths[0] = 10;
  expect(loss).toThrow('sequence 0: input length is 10');
  inputLengths[0] = 9;
  targetLengths[1] = -1;
  expect(loss).toThrow('sequence 1: target length is -1');
});

test('labels are checked against the classes and the blank of each call', () => {
  const targets = tensor(labels, { dtype: 'int32' });
  const loss = (classes: number, blank = 0): Tensor =>
    ctcLoss(scoresOf(classes), targets, undefined, undefined, { ...OPTIONS, blank });
  loss(4);
  expect(() => loss(3)).toThrow('sequence 0: label 2 is 3; it must be a class in [0, 3)');
  expect(() => loss(4, 2)).toThrow('sequence 0: label 1 is 2, which is the blank');
  loss(4);
  expect(() => loss(4, 3)).toThrow('which is the blank');
  expect(() => ctcLoss(random(1).normal([9, 3, 4]), targets)).toThrow('the targets have 2 rows for 3 sequences');
});

test('one memory in two shapes is two targets', () => {
  const flat = tensor(labels.flat(), { dtype: 'int32' });
  const scores = scoresOf();
  const padded = flat.reshape([2, 3]);
  const losses = fresh(scores, labels);
  expect(ctcLoss(scores, padded, undefined, undefined, OPTIONS).arraySync()).toEqual(losses);
  expect(ctcLoss(scores, flat, undefined, [3, 3], OPTIONS).arraySync()).toEqual(losses);
  expect(ctcLoss(scores, flat, undefined, [4, 2], OPTIONS).arraySync()).toEqual(
    fresh(scores, [
      [1, 2, 3, 3],
      [3, 1],
    ]),
  );
  expect(() => ctcLoss(scores, flat)).toThrow('1-D targets of 2 sequences need target lengths');
});

test('an array that has been handed out may change', () => {
  const targets = tensor(labels, { dtype: 'int32' });
  const loss = (): Tensor => ctcLoss(scoresOf(), targets, undefined, undefined, OPTIONS);
  loss();
  const shared = targets.ndarray();
  shared.data[0] = 2;
  expect(loss().arraySync()).toEqual(fresh(scoresOf(), [[2, 2, 3], labels[1]!]));
  shared.data[0] = 4;
  expect(loss).toThrow('sequence 0: label 0 is 4');
});

test("an alignment's wildcard is no label to a loss", async () => {
  const targets = tensor([[1, -1]], { dtype: 'int32' });
  const scores = random(2).normal([5, 1, 3]);
  await ctcAlign(scores, targets, undefined, undefined, { wildcard: -1 });
  expect(() => ctcLoss(scores, targets)).toThrow('label 1 is -1');
});
