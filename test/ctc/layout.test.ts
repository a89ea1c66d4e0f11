import type * as Tapegrad from 'tapegrad';
import {
  ctcLoss,
  type CtcOptions,
  ctcPosterior,
  gradCheck,
  greedyDecode,
  greedyDecodeSync,
  logSoftmax,
  random,
  ShapeError,
  tensor,
  type Tensor,
  ValueError,
  valueAndGrad,
} from 'tapegrad';

/** Scores [T, N, C], the same as [N, T, C], and a batch whose sequences and targets differ in length. */
const framesFirst = random(7).normal([9, 3, 5], { dtype: 'float64' });
const sequencesFirst = framesFirst.permute([1, 0, 2]);
const targets = [[1, 1, 2], [], [4, 3]];
const inputLengths = [9, 5, 7];
const weights = tensor([0.7, -1.3, 2], { dtype: 'float64' });

const numbers = (t: Tensor): number[] => Array.from(t.dataSync());
/** T and N exchanged. */
const exchanged = (t: Tensor): Tensor => (t.rank === 3 ? t.permute([1, 0, 2]) : t);

describe("layout 'NTC'", () => {
  const wholes: readonly (readonly [string, Partial<CtcOptions>, (x: Tensor) => Tensor])[] = [
    ['logits', { from: 'logits' }, (x) => x],
    ['log-probabilities as they are', {}, (x) => x],
    ['log-probabilities of logits', {}, (x) => logSoftmax(x)],
    ['float32', { from: 'logits' }, (x) => x.cast('float32')],
    ['another blank, reduced', { from: 'logits', blank: 0, reduction: 'mean', zeroInfinity: true }, (x) => x],
  ];
  test.each(wholes)('loss and gradient are those of the frames-first scores: %s', (_name, options, prepare) => {
    const run = (layout: 'TNC' | 'NTC', x: Tensor): [Tensor, Tensor] =>
      valueAndGrad((scores: Tensor) => {
        const losses = ctcLoss(prepare(scores), targets, { ...options, inputLengths, layout });
        return losses.rank === 0 ? losses : losses.mul(weights).sum();
      })(x);
    const [loss, gradient] = run('TNC', framesFirst);
    const [sameLoss, sameGradient] = run('NTC', sequencesFirst);
    expect(sameGradient.shape).toEqual(sequencesFirst.shape);
    expect([numbers(sameLoss), numbers(exchanged(sameGradient))]).toEqual([numbers(loss), numbers(gradient)]);
  });

  test('derivatives of order 2, by differences', () => {
    gradCheck(
      (x) => ctcLoss(x, targets, { inputLengths, layout: 'NTC', from: 'logits' }).mul(weights).sum(),
      [sequencesFirst],
      { order: 2 },
    );
    gradCheck((x) => ctcPosterior(x, targets, { inputLengths, layout: 'NTC' }), [sequencesFirst]);
  });

  test('posterior and greedy decoding', async () => {
    const posterior = ctcPosterior(framesFirst, targets, inputLengths);
    const same = ctcPosterior(sequencesFirst, targets, inputLengths, undefined, { layout: 'NTC' });
    expect([same.shape, numbers(exchanged(same))]).toEqual([[3, 9, 5], numbers(posterior)]);
    const paths = await greedyDecode(framesFirst, inputLengths, { blank: 2 });
    expect(await greedyDecode(sequencesFirst, { inputLengths, blank: 2, layout: 'NTC' })).toEqual(paths);
    expect(greedyDecodeSync(sequencesFirst, inputLengths, { blank: 2, layout: 'NTC' })).toEqual(paths);
  });

  test.each([
    [1, 4],
    [4, 1],
    [1, 1],
    [0, 2],
    [2, 0],
  ])('%d frames of %d sequences', (frames, batch) => {
    const x = random(frames + 2).normal([frames, batch, 3]);
    const empty = new Array<number[]>(batch).fill([]);
    const run = (scores: Tensor, layout: 'TNC' | 'NTC'): [Tensor, Tensor] =>
      valueAndGrad((t: Tensor) => ctcLoss(t, empty, { layout, from: 'logits' }).sum())(scores);
    const [loss, gradient] = run(x, 'TNC');
    const [same, sameGradient] = run(exchanged(x), 'NTC');
    expect([numbers(same), sameGradient.shape]).toEqual([numbers(loss), [batch, frames, 3]]);
    expect(numbers(exchanged(sameGradient))).toEqual(numbers(gradient));
  });

  test('of one sequence [T, C] it says nothing', () => {
    const x = random(3).normal([6, 4]);
    const want = numbers(ctcLoss(x, [1, 2], { from: 'logits' }));
    expect(numbers(ctcLoss(x, [1, 2], { from: 'logits', layout: 'NTC' }))).toEqual(want);
    expect(ctcPosterior(x, [1, 2], { layout: 'NTC' }).shape).toEqual([6, 4]);
  });
});

describe('the two forms of a call', () => {
  const lengths = [3, 0, 2];
  const x = framesFirst;

  test('give the same', () => {
    const padded = tensor(
      [
        [1, 1, 2],
        [-1, -1, -1],
        [4, 3, -100],
      ],
      { dtype: 'int32' },
    );
    const options = { from: 'logits', reduction: 'sum' } as const;
    const want = numbers(ctcLoss(x, targets, inputLengths, lengths, options));
    expect(numbers(ctcLoss(x, padded, { ...options, inputLengths, targetLengths: lengths }))).toEqual(want);
    expect(numbers(ctcLoss(x, padded, undefined, lengths, { ...options, inputLengths }))).toEqual(want);
    expect(numbers(ctcLoss(x, targets, { ...options, inputLengths, targetLengths: undefined } as never))).toEqual(want);
  });

  const loose = ctcLoss as (...given: unknown[]) => unknown;
  test.each<[() => unknown, string]>([
    [
      () => loose(x, targets, { inputLengths }, [3, 0, 2]),
      '[ctcLoss] the options stand where the input lengths go, and more arguments follow',
    ],
    [() => loose(x, targets, { inputLengths }, undefined, { blank: 0 }), '[ctcLoss] the options stand where the input'],
    [() => loose(x, targets, inputLengths, { blank: 0 }), '[ctcLoss] an object stands where the target lengths go'],
    [
      () => loose(x, targets, inputLengths, undefined, { inputLengths }),
      '[ctcLoss] inputLengths are given twice, by position and in the options',
    ],
    [
      () => loose(x, targets, { input_lengths: inputLengths }),
      "[ctcLoss] there is no option 'input_lengths'; there are",
    ],
    [() => loose(x, targets, inputLengths, lengths, 0), '(write { blank: 0 })'],
    [
      () => ctcPosterior(x, targets, { from: 'logits' } as never),
      "[ctcPosterior] there is no option 'from'; there are",
    ],
    [
      () => greedyDecodeSync(x, undefined, 1 as never),
      '[greedyDecodeSync] the options are 1; they must be an object: { inputLengths, layout, blank } (write { blank: 1 })',
    ],
  ])('mixed up: %#', (call, message) => {
    expect(call).toThrow(ValueError);
    expect(call).toThrow(message);
  });
});

describe('messages', () => {
  const x = random(1).normal([4, 50, 20]);

  test('name the layout that was read', () => {
    const reading = "the scores [4, 50, 20] read as T = 4, N = 50, C = 20 (layout 'TNC')";
    const one = new Array<number[]>(50).fill([1]);
    expect(() => ctcLoss(x, one.slice(0, 4))).toThrow(ShapeError);
    expect(() => ctcLoss(x, one.slice(0, 4))).toThrow(`[ctcLoss] 4 target lists for 50 sequences: ${reading}`);
    expect(() => ctcLoss(x, one, [50, 50, 50, 50])).toThrow(`[ctcLoss] 4 input lengths for 50 sequences: ${reading}`);
    expect(() => ctcLoss(x, one, new Array<number>(50).fill(50))).toThrow(`the scores have 4 frames: ${reading}`);
    expect(() => greedyDecodeSync(x, [50])).toThrow(`[greedyDecodeSync] 1 input lengths for 50 sequences: ${reading}`);
    expect(() => ctcLoss(x, one, { layout: 'NTC' })).toThrow("read as T = 50, N = 4, C = 20 (layout 'NTC')");
    expect(() => ctcLoss(x.slice(0), [1], [99])).toThrow('the scores [50, 20] read as T = 50, C = 20');
    expect(() => ctcLoss(x, one, { layout: 'NCT' as never })).toThrow("layout is 'NCT'; it must be 'TNC' or 'NTC'");
    expect(() => ctcLoss(tensor([1]), one, { layout: 'NTC' })).toThrow('they must be [N, T, C] or [T, C]');
  });

  test.each([-1, -100])('say what to give for targets that are filled up with %d', (filler) => {
    const advice = 'if it fills up a shorter target, give targetLengths, or the targets as one list a sequence';
    const lists = [
      [1, 2, 3],
      [4, filler, filler],
      [1, 2, filler],
    ];
    for (const given of [lists, tensor(lists, { dtype: 'int32' }), lists.map((list) => Int32Array.from(list))]) {
      expect(() => ctcLoss(framesFirst, given)).toThrow(
        `[ctcLoss] sequence 1: label 1 is ${filler}; it must be a class`,
      );
      expect(() => ctcLoss(framesFirst, given)).toThrow(advice);
      const cut = ctcLoss(framesFirst, given, { targetLengths: [3, 1, 2], from: 'logits' });
      expect(numbers(cut)).toEqual(numbers(ctcLoss(framesFirst, [[1, 2, 3], [4], [1, 2]], { from: 'logits' })));
    }
    expect(() => ctcLoss(framesFirst, [[9], [], []])).not.toThrow(advice);
  });
});

describe('logits given as log-probabilities', () => {
  /** The package as a process sees it that has not warned yet. */
  const fresh = async (): Promise<typeof Tapegrad> => {
    jest.resetModules();
    return import('tapegrad');
  };
  let warn: jest.SpyInstance;
  beforeEach(() => {
    warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  });
  afterEach(() => {
    warn.mockRestore();
  });

  test.each(['float32', 'float64', 'bfloat16'] as const)('are warned of once: %s', async (dtype) => {
    const { ctcLoss: loss, random: source, valueAndGrad: both } = await fresh();
    const logits = source(1).normal([50, 2, 20]).cast(dtype);
    loss(logits, [[1], [2]]);
    expect(warn.mock.calls).toHaveLength(1);
    expect((warn.mock.calls as string[][])[0]![0]).toMatch(
      /^\[ctcLoss\] sequence [01]: the loss is -\d.*write \{ from: 'logits' \}/,
    );
    both((x: Tensor) => loss(x, [[1], [2]]).sum())(logits.cast('float32'));
    expect(warn.mock.calls).toHaveLength(1);
  });

  test('are warned of inside a transform', async () => {
    const { ctcLoss: loss, grad: derivative, random: source } = await fresh();
    derivative((x: Tensor) => loss(x, [[1], [2]]).sum())(source(1).normal([50, 2, 20]));
    expect(warn.mock.calls).toHaveLength(1);
  });

  test.each(['float32', 'float64', 'float16', 'bfloat16'] as const)('real ones are not: %s', async (dtype) => {
    const { ctcLoss: loss, logSoftmax: normalised, random: source, tensor: make } = await fresh();
    for (const scale of [0.01, 1, 30]) {
      const logits = source(1).normal([400, 4, 8]).mul(scale).cast(dtype);
      const sure = normalised(make(new Float32Array(400 * 2 * 3), { shape: [400, 2, 3] }).add([12, 0, 0])).cast(dtype);
      loss(normalised(logits), [[1], [2, 3], [], [7, 7]]);
      loss(sure, [[], []]);
      loss(logits, [[1], [2, 3], [], [7, 7]], { from: 'logits' });
    }
    expect(warn.mock.calls).toHaveLength(0);
  });
});
