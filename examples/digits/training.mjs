import {
  ctcLoss,
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
  tensor,
  valueAndGrad,
} from 'tapegrad';
import { BACKGROUND, columnsOf, drawLine } from './lines.mjs';
import { BLANK, model, STRIDE } from './model.mjs';

export const BATCH = 16;

const PEAK_RATE = 8e-3;
const LEAST_RATE = 1e-5;
const WARMUP_STEPS = 20;
const WEIGHT_DECAY = 1e-4;
const GRADIENT_NORM = 5;

/** Shares of the true labels that the net reads, below which it counts as silent and above which as speaking. */
const SILENT = 0.05;
const SPEAKING = 0.25;

/**
 * A training run: all that a step depends on, and what is shown of it. A checkpoint holds exactly this.
 *
 * @typedef {object} Run
 * @property {number} seed
 * @property {number} steps to be made in all
 * @property {number} step made so far
 * @property {import('tapegrad').Random} random
 * @property {object} params
 * @property {object} state the optimizer's
 * @property {number[]} losses per label, step by step
 * @property {number} spoken running mean of the share of labels that the net reads while it trains
 * @property {'start' | 'plateau' | 'learning'} phase
 * @property {number | null} plateauEnd the step at which the net began to read
 * @property {{ step: number, characterErrorRate: number }[]} evaluations
 */

/** @returns {Run} */
export function startRun({ seed, steps }) {
  const source = random(seed);
  const params = model.init(source);
  return {
    seed,
    steps,
    step: 0,
    random: source,
    params,
    state: optimizerOf(steps).init(params),
    losses: [],
    spoken: 1,
    phase: 'start',
    plateauEnd: null,
    evaluations: [],
  };
}

/** The learning rate of a step. */
export function rateOf(steps, step) {
  return optim.warmup(WARMUP_STEPS, optim.cosine(PEAK_RATE, Math.max(1, steps - WARMUP_STEPS), LEAST_RATE))(step);
}

function optimizerOf(steps) {
  return optim.adamw({ learningRate: (step) => rateOf(steps, step), weightDecay: WEIGHT_DECAY });
}

/**
 * One step on a fresh batch of lines; changes `run`.
 *
 * @param {Run} run
 * @param {import('./digits.mjs').Digit[][]} digits
 */
export function trainStep(run, digits) {
  const lines = Array.from({ length: BATCH }, () => drawLine(run.random, digits, { distorted: true }));
  const { images, frames, targets } = toBatch(lines);
  const targetLengths = targets.map((target) => target.length);
  const lossOf = (params) => {
    const logits = model.apply(params, images, { random: run.random });
    return [
      ctcLoss(logits, targets, frames, targetLengths, { blank: BLANK, from: 'logits', reduction: 'mean' }),
      logits,
    ];
  };
  // Within a scope gradients stay where the kernels work; only what is returned moves out.
  const { params, state, loss, read } = scope(() => {
    const [[value, logits], gradients] = valueAndGrad(lossOf, { hasAux: true })(run.params);
    const clipped = optim.clipByGlobalNorm(gradients, GRADIENT_NORM);
    return {
      ...optimizerOf(run.steps).update(run.params, clipped.gradients, run.state),
      loss: value.itemSync(),
      read: greedyDecodeSync(logits, frames, { blank: BLANK }).reduce((sum, { labels }) => sum + labels.length, 0),
    };
  });
  run.params = params;
  run.state = state;
  run.step++;
  run.losses.push(loss);
  watchPlateau(run, read / targetLengths.reduce((a, b) => a + b));
}

/** CTC nets first learn to say nothing, because blanks alone are a fair guess; then, within a few steps, they begin to read. */
function watchPlateau(run, share) {
  run.spoken = 0.8 * run.spoken + 0.2 * share;
  if (run.phase === 'start' && run.spoken < SILENT) run.phase = 'plateau';
  if (run.phase !== 'learning' && run.step > WARMUP_STEPS && run.spoken > SPEAKING) {
    if (run.phase === 'plateau') run.plateauEnd = run.step;
    run.phase = 'learning';
  }
}

/**
 * Lines as the network and the loss take them.
 *
 * @param {import('./lines.mjs').Line[]} lines
 */
export function toBatch(lines) {
  const { padded } = padSequences(lines.map(columnsOf), { value: BACKGROUND, multipleOf: STRIDE });
  return {
    images: padded.expandDims(3),
    frames: lines.map((line) => Math.ceil(line.width / STRIDE)),
    targets: lines.map((line) => line.labels),
  };
}

/**
 * @param {Run} run
 * @returns {Promise<Uint8Array>} a safetensors file
 */
export function saveRun(run) {
  const history = {
    losses: tensor(Float64Array.from(run.losses)),
    evaluatedSteps: tensor(Int32Array.from(run.evaluations, ({ step }) => step)),
    evaluatedRates: tensor(Float64Array.from(run.evaluations, ({ characterErrorRate }) => characterErrorRate)),
  };
  const { seed, steps, step, spoken, phase, plateauEnd } = run;
  const metadata = { run: JSON.stringify({ seed, steps, step, spoken, phase, plateauEnd, random: run.random.state }) };
  return saveSafetensors({ params: run.params, state: run.state, history }, { metadata });
}

/**
 * The run that `saveRun` saved; it goes on as if it had never stopped, to the last bit.
 *
 * @param {Uint8Array} file
 * @returns {Run}
 */
export function loadRun(file) {
  const { tensors, metadata } = loadSafetensors(file);
  if (metadata.run === undefined)
    throw new FormatError('loadRun', "the file is no checkpoint of this example: its metadata has no 'run'");
  const { random: randomState, ...rest } = JSON.parse(metadata.run);
  const fresh = startRun(rest);
  const {
    'history.losses': losses,
    'history.evaluatedSteps': steps,
    'history.evaluatedRates': rates,
    ...weights
  } = tensors;
  const { params, state } = restoreTree({ params: fresh.params, state: fresh.state }, weights);
  const evaluatedRates = rates.dataSync();
  return {
    ...fresh,
    ...rest,
    params,
    state,
    random: Random.fromState(randomState),
    losses: Array.from(losses.dataSync()),
    evaluations: Array.from(steps.dataSync(), (step, i) => ({ step, characterErrorRate: evaluatedRates[i] })),
  };
}
