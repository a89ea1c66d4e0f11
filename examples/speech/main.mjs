import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FormatError, toSrt } from 'tapegrad';
import { lossCurve } from '../shared/charts.mjs';
import { trainUntilSignal, writeWhole } from '../shared/loop.mjs';
import { UsageError } from '../shared/options.mjs';
import { chooseProducts } from '../shared/products.mjs';
import { Progress } from '../shared/progress.mjs';
import { clipPicture } from './charts.mjs';
import { fits, loadClips } from './clips.mjs';
import { alignClip, judge, ORDER, readClips, readClipsByWords, WIDTH } from './evaluation.mjs';
import { LETTERS, SECONDS_PER_FRAME } from './model.mjs';
import { readOptions, USAGE } from './options.mjs';
import { ATTRIBUTION, loadPrompts, MissingDataError, split } from './prompts.mjs';
import { loadRun, rateOf, saveRun, startRun, stepsOf, trainStep } from './training.mjs';

const EVALUATIONS = 12;
const SAMPLES = 6;
/** How long the clip of the picture is at least, in seconds. */
const PICTURED = 2.5;

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return;
  }
  const { prompts, left } = loadPrompts(options.data);
  const data = loadData(prompts, left);
  const steps = options.steps ?? stepsOf(options.seed, options.epochs, data.training);
  const run = options.resume === null ? startRun({ seed: options.seed, steps }) : await resume(options.resume);
  const products = await chooseProducts(options.blas);
  const out = options.out ?? (options.resume === null ? 'out/speech' : dirname(options.resume));
  await mkdir(out, { recursive: true });
  const checkpoint = join(out, 'checkpoint.safetensors');

  console.log(`Seed ${run.seed}, ${run.steps} steps.`);
  if (products) console.log(products);
  console.log(
    'At first the net reads nothing at all: the blank plateau, where every CTC net begins. Shown are the loss a letter, the learning rate, and the\n' +
      'character error rate (CER) on the held-out recordings.\n',
  );
  const isFinished = await train(run, data, checkpoint);
  if (!isFinished) {
    const more = options.data === null ? '' : ` --data ${options.data}`;
    console.log(
      `Stopped at step ${run.step} and saved. Go on with:\n\n  npm run speech -- --resume ${checkpoint}${more}\n`,
    );
    process.exitCode = 130; // what shells report after Ctrl-C
    return;
  }
  await report(run, data, { out, checkpoint });
}

/** Reads the recordings, and says what there is and what was left out. */
function loadData(prompts, left) {
  const { training, heldOut } = split(prompts);
  const [all, others] = [loadClips(training, console.log), loadClips(heldOut, console.log)];
  if (all.length === 0 || others.length === 0)
    throw new UsageError(`${prompts.length} recordings with texts are not enough to learn from some and hear others`);
  const fitting = all.filter(fits);
  const minutes = (clips) => (clips.reduce((sum, { seconds }) => sum + seconds, 0) / 60).toFixed(1);
  const textsOf = (clips) => new Set(clips.map(({ text }) => text)).size;
  console.log(
    `${fitting.length} recordings to learn from (${minutes(fitting)} minutes, ${textsOf(fitting)} texts); ${others.length} others are held out ` +
      `(${minutes(others)} minutes, ${textsOf(others)} texts, none of which is learnt from).`,
  );
  const reasons = Object.entries({ ...left, 'too short for their text': all.length - fitting.length });
  console.log(`Left out: ${reasons.map(([reason, count]) => `${count} ${reason}`).join(', ')}.`);
  console.log(`${ATTRIBUTION}\n`);
  return { training: fitting, heldOut: others };
}

async function resume(file) {
  try {
    return loadRun(await readFile(file));
  } catch (error) {
    if (['ENOENT', 'EISDIR'].includes(error.code)) throw new UsageError(`--resume: there is no file ${file}`);
    if (error instanceof FormatError) throw new UsageError(`--resume: cannot go on from ${file}: ${error.message}`);
    throw error;
  }
}

/** Trains to the end, or to Ctrl-C; saves either way. Returns whether the end was reached. */
async function train(run, { training, heldOut }, checkpoint) {
  const progress = new Progress(run, { unit: 'clips', rateOf });
  let count = 0;
  const isFinished = await trainUntilSignal(run, {
    step: async () => {
      count = trainStep(run, training);
    },
    interval: Math.ceil(run.steps / EVALUATIONS),
    evaluate: async () => {
      const { characters } = judge(heldOut, await readClips(run.params, heldOut));
      run.evaluations.push({ step: run.step, characterErrorRate: characters.rate });
      await writeWhole(checkpoint, await saveRun(run));
    },
    show: () => progress.update(run, count),
  });
  progress.stop();
  await writeWhole(checkpoint, await saveRun(run));
  return isFinished;
}

async function report(run, { training, heldOut }, { out, checkpoint }) {
  const readings = await readClips(run.params, heldOut);
  const byWords = await readClipsByWords(
    run.params,
    heldOut,
    training.map(({ text }) => text),
  );

  const order = heldOut.map((_, i) => i).sort((a, b) => heldOut[a].seconds - heldOut[b].seconds);
  for (let i = 0; i < Math.min(SAMPLES, order.length); i++) {
    const at = order[Math.floor(((i + 0.5) * order.length) / SAMPLES)] ?? order[i];
    console.log(
      `\n${heldOut[at].name}\n  truth ${heldOut[at].text}\n  read  ${readings[at] || '(nothing)'}\n  words ${byWords[at] || '(nothing)'}`,
    );
  }

  const texts = new Set(heldOut.map(({ text }) => text)).size;
  console.log(`\n${heldOut.length} held-out recordings of ${texts} texts that the net has never met:`);
  show('Held-out', judge(heldOut, readings));
  show(`Word ${ORDER}-gram of the training texts, beam of ${WIDTH},`, judge(heldOut, byWords));

  const pictured = order.find((i) => heldOut[i].seconds >= PICTURED && fits(heldOut[i])) ?? order.at(-1);
  const long = order.findLast((i) => fits(heldOut[i])) ?? order.at(-1);
  const alignment = alignClip(run.params, heldOut[pictured]);
  console.log(`\nWhen each word of ${heldOut[pictured].name} is said, in seconds:`);
  for (const { labels, start, end } of alignment.words)
    console.log(`  ${timeOf(start)} to ${timeOf(end)}  ${LETTERS.decode(labels)}`);

  const subtitles = toSrt(alignClip(run.params, heldOut[long]).words, {
    secondsPerFrame: SECONDS_PER_FRAME,
    text: ({ labels }) => LETTERS.decode(labels),
  });
  const files = {
    'Loss curve': ['loss.svg', await lossCurve('Speech: CTC loss and held-out character error rate', run)],
    alignment: ['alignment.svg', await clipPicture(heldOut[pictured], readings[pictured], alignment)],
    [`subtitles of ${heldOut[long].name}`]: ['subtitles.srt', subtitles],
  };
  for (const [name, content] of Object.values(files)) await writeFile(join(out, name), content);
  const list = Object.entries(files).map(([what, [name]]) => `${what} ${join(out, name)}`);
  console.log(`\n${list.join(', ')}, checkpoint ${checkpoint}`);
}

const timeOf = (frame) => (frame * SECONDS_PER_FRAME).toFixed(2).padStart(6);

function show(what, { characters, words }) {
  const rateOf = ({ rate, substitutions, insertions, deletions, referenceLength }, unit) =>
    `${(100 * rate).toFixed(2)} % (${substitutions} substitutions, ${insertions} insertions, ${deletions} deletions in ${referenceLength} ${unit})`;
  console.log(`${what} CER ${rateOf(characters, 'characters')}`);
  console.log(`${what} WER ${rateOf(words, 'words')}`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof UsageError || error instanceof MissingDataError)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof MissingDataError ? 1 : 2;
}
