import { bucketedBatches, ctcLoss, greedyDecodeSync, optim, padSequences, random, scope, valueAndGrad } from 'tapegrad';
import { loadRun as load, newRun, noteStep, saveRun as save } from '../shared/run.mjs';
import { augmented } from './clips.mjs';
import { LETTERS, model } from './model.mjs';

const PEAK_RATE = 4e-3;
const LEAST_RATE = 1e-5;
const WARMUP_STEPS = 100;
const WEIGHT_DECAY = 1e-2;
const GRADIENT_NORM = 1;
/** Frames of features in a batch, a longer clip alone excepted. */
const BATCH_FRAMES = 1200;
/** How much lengths are shuffled before clips of like length are put together, so that batches differ from epoch to epoch. */
const JITTER = 0.05;

/** @typedef {import('../shared/run.mjs').Run & { epoch: number, place: number }} Run `epoch` and `place`: which batch of which epoch comes next. */

/** @returns {Run} */
export function startRun({ seed, steps }) {
  const source = random(seed);
  const params = model.init(source);
  const settings = { seed, steps, epoch: 0, place: 0 };
  return newRun(settings, { random: source, params, state: optimizerOf(steps).init(params) });
}

/** The learning rate of a step. */
export function rateOf({ steps, step }) {
  const warmup = Math.min(WARMUP_STEPS, Math.ceil(steps / 10));
  return optim.warmup(warmup, optim.cosine(PEAK_RATE, Math.max(1, steps - warmup), LEAST_RATE))(step);
}

const optimizerOf = (steps) =>
  optim.adamw({ learningRate: (step) => rateOf({ steps, step }), weightDecay: WEIGHT_DECAY });

/** The batches of an epoch: clips of about the same length, so that little is spent on filling. Seed and epoch decide, nothing else. */
function batchesOf({ seed, epoch }, clips) {
  const source = random((Math.imul(seed + 1, 0x9e3779b1) ^ epoch) >>> 0);
  const lengths = clips.map(({ frames }) => {
    const jittered = Math.round(frames * (1 - JITTER + 2 * JITTER * source.next()));
    return Math.min(jittered, BATCH_FRAMES); // of a longer one a batch holds no second
  });
  return bucketedBatches(lengths, BATCH_FRAMES, source);
}

/** How many steps so many epochs are. */
export function stepsOf(seed, epochs, clips) {
  return Array.from({ length: epochs }, (_, epoch) => batchesOf({ seed, epoch }, clips).length).reduce(
    (a, b) => a + b,
    0,
  );
}

/**
 * One step on the next batch; changes `run`.
 *
 * @param {Run} run
 * @param {readonly import('./clips.mjs').Clip[]} clips
 * @returns {number} how many clips it took.
 */
export function trainStep(run, clips) {
  const batches = batchesOf(run, clips);
  const chosen = batches[run.place].map((i) => clips[i]);
  const made = scope(() => {
    const { features, frames, targets } = toBatch(chosen.map((clip) => augmented(clip, run.random)));
    const lossOf = (params) => {
      const logits = model.apply(params, features, { random: run.random });
      // A clip that has become too short for its text by stretching counts as 0.
      return [
        ctcLoss(logits, targets, { inputLengths: frames, from: 'logits', reduction: 'mean', zeroInfinity: true }),
        logits,
      ];
    };
    const [[loss, logits], gradients] = valueAndGrad(lossOf, { hasAux: true })(run.params);
    const read = greedyDecodeSync(logits, frames).reduce((sum, { labels }) => sum + labels.length, 0);
    const clipped = optim.clipByGlobalNorm(gradients, GRADIENT_NORM);
    const { params, state } = optimizerOf(run.steps).update(run.params, clipped.gradients, run.state);
    return { params, state, loss: loss.itemSync(), share: read / targets.reduce((sum, { length }) => sum + length, 0) };
  });
  noteStep(run, made, WARMUP_STEPS);
  if (++run.place === batches.length) Object.assign(run, { epoch: run.epoch + 1, place: 0 });
  return chosen.length;
}

/** Clips as the network and the loss take them. */
export function toBatch(clips) {
  return {
    features: padSequences(clips.map(({ features }) => features)).padded,
    frames: clips.map(({ frames }) => model.outputLength(frames)),
    targets: clips.map(({ labels }) => labels),
  };
}

/** @param {Run} run */
export const saveRun = (run) => save(run, { alphabet: JSON.stringify(LETTERS) });

/** The run that `saveRun` saved; it goes on as if it had never stopped, to the last bit. */
export const loadRun = (file) => load(file, startRun);
