import { ctcLoss, greedyDecode, optim, pad, padSequences, random, scope, tensor, valueAndGrad } from 'tapegrad';
import { loadRun as load, newRun, noteStep } from '../shared/run.mjs';
import { BACKGROUND, columnsOf, planLine, renderLine } from './lines.mjs';
import { BLANK, model, STRIDE } from './model.mjs';

const PEAK_RATE = 8e-3;
const LEAST_RATE = 1e-5;
const WARMUP_STEPS = 20;
const WEIGHT_DECAY = 1e-4;
/** Of squared gradients, AdamW remembers a hundred steps: they change a lot when the net begins to read, and a run is not long. */
const BETAS = [0.9, 0.99];
const GRADIENT_NORM = 5;

/** @typedef {import('../shared/run.mjs').Run & { batch: number }} Run `batch`: lines a step, of all ranks together. */

/** @returns {Run} */
export function startRun({ seed, steps, batch }) {
  const source = random(seed);
  const params = model.init(source);
  return newRun({ seed, steps, batch }, { random: source, params, state: optimizerOf(steps).init(params) });
}

/** The learning rate of a step. */
export function rateOf(steps, step) {
  return optim.warmup(WARMUP_STEPS, optim.cosine(PEAK_RATE, Math.max(1, steps - WARMUP_STEPS), LEAST_RATE))(step);
}

function optimizerOf(steps) {
  return optim.adamw({ learningRate: (step) => rateOf(steps, step), weightDecay: WEIGHT_DECAY, betas: BETAS });
}

/**
 * One step on a fresh batch of lines; changes `run`. Several ranks share the batch out, and make the step that one of them would make alone.
 *
 * @param {Run} run the same on all ranks, and so is what becomes of it
 * @param {import('./images.mjs').Digit[][]} digits
 * @param {import('tapegrad/distributed').World | null} world
 */
export async function trainStep(run, digits, world = null) {
  const plans = Array.from({ length: run.batch }, () => planLine(run.random, digits, { distorted: true }));
  const lines = plans.slice(...shareOf(run.batch, world)).map(renderLine);
  // All ranks fill up to the width of the widest line of the whole batch: the convolutions see where the paper ends.
  const width = await largest(world, Math.max(...lines.map((line) => line.width)));
  const { images, frames, targets } = toBatch(lines, width);
  const targetLengths = targets.map((target) => target.length);
  const lossOf = (params) => {
    const logits = model.apply(params, images, { random: run.random });
    return [
      ctcLoss(logits, targets, frames, targetLengths, { blank: BLANK, from: 'logits', reduction: 'mean' }),
      logits,
    ];
  };
  // Within a scope gradients stay where the kernels work; only what is returned moves out.
  const differentiate = () => {
    const [[loss, logits], gradients] = valueAndGrad(lossOf, { hasAux: true })(run.params);
    return { loss, logits, gradients };
  };
  const update = ({ gradients, ...seen }) => {
    const clipped = optim.clipByGlobalNorm(gradients, GRADIENT_NORM);
    return { ...optimizerOf(run.steps).update(run.params, clipped.gradients, run.state), ...seen };
  };
  // Numbers are awaited, because a GPU has them later.
  const countRead = async (logits) =>
    (await greedyDecode(logits, frames, { blank: BLANK })).reduce((sum, { labels }) => sum + labels.length, 0);
  let made, read;
  if (world) {
    const { logits, ...share } = scope(differentiate);
    const own = await countRead(logits);
    // What the ranks read goes along, as a mean a line, so that they wait for each other once and not twice.
    const perLine = tensor(own / lines.length);
    const { perLine: mean, ...whole } = await world.averageGradients({ ...share, perLine }, { weight: lines.length });
    made = scope(() => update(whole));
    read = Math.round(mean.itemSync() * run.batch);
  } else {
    made = scope(() => update(differentiate()));
    read = await countRead(made.logits);
  }
  const { params, state } = made;
  const share = read / plans.reduce((sum, { glyphs }) => sum + glyphs.length, 0);
  noteStep(run, { params, state, loss: await made.loss.item(), share }, WARMUP_STEPS);
}

/** The lines of a rank, as [start, end): shares of equal size, as far as that goes. All are filled up to the same width, so the work is equal, too. */
function shareOf(count, world) {
  if (!world) return [0, count];
  const { rank, size } = world;
  return [Math.floor((count * rank) / size), Math.floor((count * (rank + 1)) / size)];
}

/** A whole number's maximum over the ranks. */
export async function largest(world, number) {
  return world ? (await world.allMax(tensor(number, { dtype: 'int32' }))).itemSync() : number;
}

/**
 * Lines as the network and the loss take them.
 *
 * @param {import('./lines.mjs').Line[]} lines
 * @param {number} width to which they are filled up, rounded up to whole frames; by default that of the widest.
 */
export function toBatch(lines, width = 0) {
  const { padded } = padSequences(lines.map(columnsOf), { value: BACKGROUND, multipleOf: STRIDE });
  const missing = Math.max(0, Math.ceil(width / STRIDE) * STRIDE - padded.shape[1]);
  const whole = [0, 0];
  const filled = missing > 0 ? pad(padded, [whole, [0, missing], whole], { value: BACKGROUND }) : padded;
  return {
    images: filled.expandDims(3),
    frames: lines.map((line) => Math.ceil(line.width / STRIDE)),
    targets: lines.map((line) => line.labels),
  };
}

export { saveRun } from '../shared/run.mjs';

/** The run that `saveRun` saved; it goes on as if it had never stopped, to the last bit. */
export const loadRun = (file) => load(file, startRun);
