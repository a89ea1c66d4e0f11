import { device, FormatError, loadSafetensors, Random, restoreTree, saveSafetensors, tensor } from 'tapegrad';

/** Shares of the true labels that the net reads, below which it counts as silent and above which as speaking. */
const SILENT = 0.05;
const SPEAKING = 0.25;

/**
 * A training run: all that a step depends on, and what is shown of it. A checkpoint holds exactly this, and whatever plain settings an example adds.
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
 * @property {object} [kept] parameters that an example keeps beside those that it trains, of the same form
 */

/**
 * A run before its first step.
 *
 * @template {object} Settings
 * @param {Settings} settings what the example's steps depend on beside it: plain values.
 * @param {{ random: import('tapegrad').Random, params: object, state: object }} parts
 * @returns {Run & Settings}
 */
export const newRun = (settings, { random, params, state }) => ({
  ...settings,
  step: 0,
  random,
  params,
  state,
  losses: [],
  spoken: 1,
  phase: 'start',
  plateauEnd: null,
  evaluations: [],
});

/**
 * Notes a step in the run.
 *
 * @param {Run} run
 * @param {{ params: object, state: object, loss: number, share: number }} made `share`: of the true labels, how many the net has read.
 * @param {number} warmup steps at the beginning in which nothing that is read counts.
 */
export function noteStep(run, { params, state, loss, share }, warmup) {
  run.params = params;
  run.state = state;
  run.step++;
  run.losses.push(loss);
  watchPlateau(run, share, warmup);
}

/** CTC nets first learn to say nothing, because blanks alone are a fair guess; then, within a few steps, they begin to read. */
function watchPlateau(run, share, warmup) {
  run.spoken = 0.8 * run.spoken + 0.2 * share;
  if (run.phase === 'start' && run.spoken < SILENT) run.phase = 'plateau';
  if (run.phase !== 'learning' && run.step > warmup && run.spoken > SPEAKING) {
    if (run.phase === 'plateau') run.plateauEnd = run.step;
    run.phase = 'learning';
  }
}

/**
 * @param {Run} run
 * @param {Record<string, string>} [metadata] what else the file says.
 * @returns {Promise<Uint8Array>} a safetensors file
 */
export async function saveRun(run, metadata = {}) {
  const host = { device: await device('cpu') }; // whatever trains: few GPUs have float64
  const { params, state, kept, losses, evaluations, random, ...rest } = run;
  const history = {
    losses: tensor(Float64Array.from(losses), host),
    evaluatedSteps: tensor(
      Int32Array.from(evaluations, ({ step }) => step),
      host,
    ),
    evaluatedRates: tensor(
      Float64Array.from(evaluations, ({ characterErrorRate }) => characterErrorRate),
      host,
    ),
  };
  return saveSafetensors(
    { params, state, history, ...(kept && { kept }) },
    { metadata: { ...metadata, run: JSON.stringify({ ...rest, random: random.state }) } },
  );
}

/**
 * The run that `saveRun` saved; it goes on as if it had never stopped, to the last bit.
 *
 * @param {Uint8Array} file
 * @param {(settings: object, metadata: Record<string, string>) => Run} start a run with the same settings before its first step.
 * @returns {Run}
 */
export function loadRun(file, start) {
  const { tensors, metadata } = loadSafetensors(file);
  if (metadata.run === undefined)
    throw new FormatError('loadRun', "the file is no checkpoint of this example: its metadata has no 'run'");
  const { random: randomState, ...rest } = JSON.parse(metadata.run);
  const fresh = start(rest, metadata);
  const {
    'history.losses': losses,
    'history.evaluatedSteps': steps,
    'history.evaluatedRates': rates,
    ...weights
  } = tensors;
  const wanted = { params: fresh.params, state: fresh.state, ...(fresh.kept && { kept: fresh.kept }) };
  const evaluatedRates = rates.dataSync();
  return {
    ...fresh,
    ...rest,
    ...restoreTree(wanted, weights),
    random: Random.fromState(randomState),
    losses: Array.from(losses.dataSync()),
    evaluations: Array.from(steps.dataSync(), (step, i) => ({ step, characterErrorRate: evaluatedRates[i] })),
  };
}
