import {
  alphabet,
  bucketedBatches,
  ctcLoss,
  errorRate,
  FormatError,
  greedyDecodeSync,
  loadSafetensors,
  optim,
  padSequences,
  Random,
  random,
  restoreTree,
  saveSafetensors,
  scope,
  valueAndGrad,
} from 'tapegrad';
import { loadRun, newRun, noteStep, saveRun } from '../shared/run.mjs';
import { featuresOf, widthOf } from './features.mjs';
import { modelOf } from './model.mjs';

const PEAK_RATES = { image: 4e-3, audio: 6e-3 };
const LEAST_RATE = 1e-5;
const WARMUP_STEPS = 50;
const WEIGHT_DECAY = 1e-2;
const GRADIENT_NORM = 1;

/**
 * What reads: everything that a file of it holds.
 *
 * @typedef {object} Recogniser
 * @property {import('./features.mjs').Settings} settings
 * @property {import('tapegrad').Alphabet} letters
 * @property {ReturnType<typeof modelOf>} model
 * @property {object} params
 *
 * @typedef {{ file: string, text: string, prepared: import('tapegrad').Tensor }} Sample
 *
 * @typedef {import('../shared/run.mjs').Run & Plan & Progress} Run `kept`: the parameters that have read best.
 * @typedef {{ data: string, batch: number, patience: number, digest: string }} Plan `digest`: of the files that it learns from
 * @typedef {object} Progress
 * @property {number[] | null} epoch the state of `random` before the epoch's batches were drawn
 * @property {number} place which of them comes next
 * @property {{ rate: number | null, step: number }} best held-out error rate so far; null before there is one
 * @property {number} worse evaluations since then
 */

const withParams = (settings, letters, paramsOf) => {
  const model = modelOf(settings.kind, widthOf(settings), letters.size);
  return { settings, letters, model, params: paramsOf(model) };
};

/** @returns {Promise<Uint8Array>} a safetensors file: the weights, and beside them the alphabet and how files are brought to one form. */
export const saveRecogniser = (recogniser, facts = {}) =>
  saveSafetensors(
    { params: recogniser.params },
    { metadata: { recogniser: textOf(recogniser), facts: JSON.stringify(facts) } },
  );

const textOf = ({ settings, letters }) => JSON.stringify({ settings, letters });

/** @returns {Recogniser} @throws {FormatError} for another file */
export function loadRecogniser(file) {
  const { tensors, metadata } = loadSafetensors(file);
  if (metadata.recogniser === undefined)
    throw new FormatError('loadRecogniser', "the file is no recogniser: its metadata has no 'recogniser'");
  const { settings, letters } = JSON.parse(metadata.recogniser);
  return withParams(
    settings,
    alphabet(letters),
    (model) => restoreTree({ params: model.init(random(0)) }, tensors).params,
  );
}

/**
 * A recogniser that knows nothing, and its training run.
 *
 * @param {{ settings: import('./features.mjs').Settings, letters: import('tapegrad').Alphabet, seed: number, steps: number } & Plan} options
 * @returns {{ recogniser: Recogniser, run: Run }}
 */
export function startTraining({ settings, letters, ...rest }) {
  const source = random(rest.seed);
  const recogniser = withParams(settings, letters, (model) => model.init(source));
  const { params } = recogniser;
  const plan = { ...rest, peakRate: PEAK_RATES[settings.kind] };
  const progress = { epoch: null, place: 0, best: { rate: null, step: 0 }, worse: 0 };
  const run = newRun({ ...plan, ...progress }, { random: source, params, state: optimizerOf(plan).init(params) });
  return { recogniser, run: { ...run, kept: params } };
}

/** @returns {Promise<Uint8Array>} a safetensors file: all that the rest of the training depends on, but for the files that it learns from. */
export const saveTraining = (recogniser, run) => saveRun(run, { recogniser: textOf(recogniser) });

/** What `saveTraining` saved; it goes on as if it had never stopped, to the last bit. @throws {FormatError} for another file */
export function loadTraining(file) {
  let recogniser;
  const run = loadRun(file, (plan, metadata) => {
    if (metadata.recogniser === undefined)
      throw new FormatError(
        'loadTraining',
        "the file is a checkpoint of another example: its metadata has no 'recogniser'",
      );
    const { settings, letters } = JSON.parse(metadata.recogniser);
    const fresh = startTraining({ settings, letters: alphabet(letters), ...plan });
    recogniser = fresh.recogniser;
    return fresh.run;
  });
  return { recogniser: { ...recogniser, params: run.params }, run };
}

/** The learning rate of the next step. */
export function rateOf({ steps, peakRate, step }) {
  const warmup = Math.min(WARMUP_STEPS, Math.ceil(steps / 10));
  return optim.warmup(warmup, optim.cosine(peakRate, Math.max(1, steps - warmup), LEAST_RATE))(step);
}

const optimizerOf = ({ steps, peakRate }) =>
  optim.adamw({
    learningRate: (step) => rateOf({ steps, peakRate, step }),
    weightDecay: WEIGHT_DECAY,
    decay: (_path, t) => t.rank > 1,
  });

/** The frames of a prepared file before any distortion: columns of an image, or of mel energies. */
const framesOf = ({ prepared }, settings) => prepared.shape[settings.kind === 'image' ? 1 : 0];

/** Whether CTC can write a text into so many frames: one for each letter, and one between equal neighbours. */
export function fits(recogniser, sample, labels) {
  const repeats = labels.filter((label, i) => label === labels[i - 1]).length;
  return labels.length + repeats <= recogniser.model.outputLength(framesOf(sample, recogniser.settings));
}

/**
 * Batches of files of about the same length, without end: about `run.batch` in each, fewer of long ones. Notes in `run` where it is.
 *
 * @param {Recogniser} recogniser
 * @param {Sample[]} samples
 * @param {Run} run
 */
export function* batchesOf({ settings }, samples, run) {
  const lengths = samples.map((sample) => framesOf(sample, settings));
  const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  const most = Math.max(Math.ceil(run.batch * mean), ...lengths);
  // A run that goes on draws the batches of its epoch again.
  let batches = run.epoch === null ? [] : bucketedBatches(lengths, most, Random.fromState(run.epoch));
  for (;;) {
    if (run.place === batches.length) {
      run.epoch = run.random.state;
      run.place = 0;
      batches = bucketedBatches(lengths, most, run.random);
    }
    yield batches[run.place++].map((i) => samples[i]);
  }
}

/** One step on a batch; changes `run`. */
export function trainStep({ settings, letters, model }, run, batch) {
  const targets = batch.map(({ text }) => letters.encode(text));
  const made = scope(() => {
    const { padded, lengths } = padSequences(batch.map(({ prepared }) => featuresOf(settings, prepared, run.random)));
    const frames = lengths.map((length) => model.outputLength(length));
    const lossOf = (params) => {
      const logits = model.apply(params, padded, { random: run.random, lengths });
      // One that has become too short for its text by stretching counts as 0.
      const options = { inputLengths: frames, from: 'logits', layout: 'NTC', reduction: 'mean', zeroInfinity: true };
      return [ctcLoss(logits, targets, { ...options, blank: letters.blank }), logits];
    };
    const [[loss, logits], gradients] = valueAndGrad(lossOf, { hasAux: true })(run.params);
    const read = greedyDecodeSync(logits, frames, { blank: letters.blank, layout: 'NTC' });
    const clipped = optim.clipByGlobalNorm(gradients, GRADIENT_NORM);
    const { params, state } = optimizerOf(run).update(run.params, clipped.gradients, run.state);
    const share = read.reduce((sum, { labels }) => sum + labels.length, 0) / targets.flat().length;
    return { params, state, loss: loss.itemSync(), share };
  });
  noteStep(run, made, WARMUP_STEPS);
}

/**
 * What a recogniser reads in files, one by one.
 *
 * @param {Recogniser} recogniser
 * @param {{ prepared: import('tapegrad').Tensor }[]} samples
 * @returns {string[]}
 */
export const readAll = ({ settings, letters, model, params }, samples) =>
  samples.map(({ prepared }) => {
    const logits = scope(() => model.apply(params, featuresOf(settings, prepared).expandDims(0)));
    const [{ labels }] = greedyDecodeSync(logits, undefined, { blank: letters.blank, layout: 'NTC' });
    return letters.decode(labels).trim();
  });

/** Error rates of what was read, over characters and over words. */
export const judge = (samples, readings) =>
  ['character', 'word'].map((unit) =>
    errorRate(
      samples.map(({ text }) => text),
      readings,
      { unit },
    ),
  );
