import {
  crossEntropy,
  ctcLoss,
  errorRate,
  greedyDecodeSync,
  optim,
  random,
  scope,
  type Tensor,
  valueAndGrad,
} from 'tapegrad';
import { conformer } from './conformer.js';
import { crnn } from './crnn.js';
import { type Batch, digitLines, SOUNDS, spectra, stretches, words } from './data.js';
import { decoder } from './decoder.js';
import { quartzNet } from './quartznet.js';
import { wav2vec2 } from './wav2vec2.js';

/**
 * Networks that people build, small: each learns a batch by heart, far below the loss of an answer that does not look at its input, which is where CTC
 * stays at first; and with lengths each says of a sequence in a batch what it says of it alone.
 */

/** Steps of AdamW; what was learned, and the loss at the end. */
function learn<P, S>(
  { params, state, steps, rate }: { params: P; state: S; steps: number; rate: number },
  lossOf: (params: P, state: S, step: number) => [loss: Tensor, state: S],
): { params: P; state: S; losses: number[] } {
  const optimizer = optim.adamw({ learningRate: rate, weightDecay: 0.01 });
  const step = valueAndGrad(lossOf, { hasAux: true });
  const losses: number[] = [];
  let memory = optimizer.init(params);
  for (let i = 0; i < steps; i++) {
    [params, state, memory] = scope(() => {
      const [[loss, next], gradients] = step(params, state, i);
      losses.push(loss.itemSync());
      const updated = optimizer.update(params, optim.clipByGlobalNorm(gradients, 5).gradients, memory);
      return [updated.params, next, updated.state];
    });
  }
  return { params, state, losses };
}

type OutputLengths = (lengths: readonly number[]) => Int32Array;

const lossOf = (logits: Tensor, { lengths, labels }: Batch, outputLengths: OutputLengths): Tensor =>
  ctcLoss(logits, labels, {
    inputLengths: outputLengths(lengths),
    layout: 'NTC',
    from: 'logits',
    blank: logits.shape[2]! - 1,
    reduction: 'mean',
  });

/** The share of labels that are read wrongly. */
function errorsOf(logits: Tensor, { lengths, labels }: Batch, outputLengths: OutputLengths): number {
  const options = { inputLengths: outputLengths(lengths), layout: 'NTC', blank: logits.shape[2]! - 1 } as const;
  const read = greedyDecodeSync(logits, options).map((path) => path.labels);
  return errorRate(labels, read).rate;
}

/** That every sequence of a batch comes out as it does alone. */
function expectAlone(
  { x, lengths }: Batch,
  outputLengths: OutputLengths,
  apply: (x: Tensor, lengths?: number[]) => Tensor,
): void {
  expect(new Set(lengths).size).toBeGreaterThan(1);
  const together = apply(x, [...lengths]);
  const frames = outputLengths(lengths);
  lengths.forEach((length, n) => {
    const alone = apply(x.slice([n, n + 1], [0, length]));
    expect(alone.shape[1]).toBe(frames[n]);
    const off = together
      .slice([n, n + 1], [0, frames[n]!])
      .sub(alone)
      .abs()
      .max()
      .itemSync();
    expect(off).toBeLessThan(1e-4 * (1 + alone.abs().max().itemSync()));
  });
}

test('crnn, lines of handwritten digits', () => {
  const model = crnn(11, 8, 48);
  const batch = digitLines(random(100), 4);
  const start = { params: model.init(random(1)), state: model.initState(), steps: 100, rate: 0.02 };
  const { params, state, losses } = learn(start, (p, s) => {
    const [logits, next] = model.apply(p, batch.x, { state: s, lengths: batch.lengths, training: true });
    return [lossOf(logits, batch, model.outputLengths), next];
  });
  expect(losses.at(-1)).toBeLessThan(1.2); // blanks alone: 2.3
  expectAlone(batch, model.outputLengths, (x, lengths) => model.apply(params, x, { state, lengths }));
});

test('quartzNet, spectra of words', () => {
  const model = quartzNet(40, SOUNDS + 1, { width: 32, kernels: [11, 13], repeats: 3, dropout: 0.02 });
  const batch = spectra(random(100), 8);
  const start = { params: model.init(random(1)), state: model.initState(), steps: 50, rate: 0.005 };
  const { params, state, losses } = learn(start, (p, s, i) => {
    const [logits, next] = model.apply(p, batch.x, { state: s, lengths: batch.lengths, random: random(i) });
    return [lossOf(logits, batch, model.outputLengths), next];
  });
  expect(losses.at(-1)).toBeLessThan(0.3);
  const logits = model.apply(params, batch.x, { state, lengths: batch.lengths });
  expect(errorsOf(logits, batch, model.outputLengths)).toBeLessThan(0.1);
  expectAlone(batch, model.outputLengths, (x, lengths) => model.apply(params, x, { state, lengths }));
});

test('conformer, spectra of words: it reads words that it has not seen, too', () => {
  const model = conformer(40, SOUNDS + 1, { width: 32, heads: 4, blocks: 2, kernel: 9, dropout: 0.02 });
  const batch = spectra(random(100), 8);
  const start = { params: model.init(random(1)), state: model.initState(), steps: 50, rate: 0.004 };
  const { params, state, losses } = learn(start, (p, s, i) => {
    const [logits, next] = model.apply(p, batch.x, { state: s, lengths: batch.lengths, random: random(i) });
    return [lossOf(logits, batch, model.outputLengths), next];
  });
  expect(losses.at(-1)).toBeLessThan(0.3);
  const unseen = spectra(random(5), 16);
  const logits = model.apply(params, unseen.x, { state, lengths: unseen.lengths });
  expect(errorsOf(logits, unseen, model.outputLengths)).toBeLessThan(0.5);
  expectAlone(batch, model.outputLengths, (x, lengths) => model.apply(params, x, { state, lengths }));
});

test('wav2vec2, samples of words', () => {
  const front = [
    [10, 5],
    [4, 2],
    [4, 2],
    [2, 2],
  ] as const;
  const model = wav2vec2(SOUNDS + 1, { width: 32, heads: 4, layers: 2, dropout: 0.02, front });
  const clips = words(random(100), 8);
  const batch = { ...clips, x: clips.x.expandDims(-1) };
  const start = { params: model.init(random(1)), state: null, steps: 50, rate: 0.004 };
  const { params, losses } = learn(start, (p, _state, i) => {
    const logits = model.apply(p, batch.x, { lengths: batch.lengths, random: random(i) });
    return [lossOf(logits, batch, model.outputLengths), null];
  });
  expect(losses.at(-1)).toBeLessThan(0.3);
  const logits = model.apply(params, batch.x, { lengths: batch.lengths });
  expect(errorsOf(logits, batch, model.outputLengths)).toBeLessThan(0.15);
  expectAlone(batch, model.outputLengths, (x, lengths) => model.apply(params, x, { lengths }));
});

test('decoder, the text of the README', () => {
  const { symbols } = stretches(random(1), 1, 2);
  const model = decoder(symbols, { width: 48, heads: 4, blocks: 2, dropout: 0 });
  const start = { params: model.init(random(1)), state: null, steps: 60, rate: 0.004 };
  const { params, losses } = learn(start, (p, _state, i) => {
    const { x, next } = stretches(random(100 + i), 16, 32);
    return [crossEntropy(model.apply(p, x), next), null];
  });
  const unseen = stretches(random(5), 16, 32);
  const loss = crossEntropy(model.apply(params, unseen.x), unseen.next).itemSync();
  expect(losses[0]).toBeGreaterThan(0.9 * Math.log(symbols));
  expect(loss).toBeLessThan(3); // by the frequencies of symbols alone: 3.5
  // What comes later changes nothing before it.
  const [first, rest] = [unseen.x.slice([], [0, 20]), model.apply(params, unseen.x).slice([], [0, 20])];
  expect(model.apply(params, first).sub(rest).abs().max().itemSync()).toBeLessThan(1e-4);
});
