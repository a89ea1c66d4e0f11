import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { alphabet, FormatError, random } from 'tapegrad';
import { lossCurve } from '../shared/charts.mjs';
import { trainUntilSignal, writeWhole } from '../shared/loop.mjs';
import { UsageError } from '../shared/options.mjs';
import { Progress } from '../shared/progress.mjs';
import { bytesOf, kindOf, listFolder, report } from './data.mjs';
import { decode, prepare, settingsOf } from './features.mjs';
import { readOptions, USAGE } from './options.mjs';
import {
  batchesOf,
  fits,
  judge,
  loadRecogniser,
  rateOf,
  readAll,
  saveRecogniser,
  startTraining,
  trainStep,
} from './training.mjs';

/** One in so many texts is held out. */
const HELD_OUT = 10;
const EVALUATIONS = 40;
const LEAST_INTERVAL = 20;
/** Held-out files that are read on the way; all of them in the end. */
const ON_THE_WAY = 150;
/** The error rate below which a net has begun to read. */
const READS = 0.7;
const SAMPLES = 6;

const commands = { help: () => process.stdout.write(USAGE), train, read, test };

/** Reads and decodes the files of a folder; whatever cannot be used joins the skipped ones. */
async function openFolder(folder, wanted = null) {
  const { kind, items, skipped } = await listFolder(folder);
  const isKind = wanted === null || kind === wanted;
  const samples = [];
  for (const { file, text } of items) {
    try {
      if (!isKind) throw new Error(`is no ${wanted === 'image' ? 'image' : 'sound'}, as the recogniser wants it`);
      samples.push({ file, text, decoded: decode(kind, await bytesOf(file)) });
    } catch (error) {
      skipped.push({ file, reason: oneLine(error) });
    }
  }
  return { kind, samples, skipped };
}

const oneLine = ({ message }) => message.replace(/\s+/g, ' ').slice(0, 200);

async function train(options) {
  const { kind, samples, skipped } = await openFolder(options.data);
  const total = samples.length + skipped.length;
  const texts = [...new Set(samples.map(({ text }) => text))];
  if (texts.length < 2) {
    report(skipped, total, console.error);
    throw new UsageError(
      `${options.data} has ${texts.length} different texts that can be used; one is to be held out from another`,
    );
  }
  const order = Array.from(random(options.seed).permutation(texts.length).dataSync());
  const heldOutTexts = new Set(order.slice(0, Math.max(1, Math.round(texts.length / HELD_OUT))).map((i) => texts[i]));
  const [seen, heldOut] = [false, true].map((isHeldOut) =>
    samples.filter(({ text }) => heldOutTexts.has(text) === isHeldOut),
  );

  const letters = alphabet(seen.map(({ text }) => text).join(''));
  const settings = settingsOf(
    kind,
    seen.map(({ decoded }) => decoded),
  );
  for (const sample of samples) sample.prepared = prepare(settings, sample.decoded);
  const { recogniser, run } = startTraining({ settings, letters, seed: options.seed, steps: options.steps });
  const training = seen.filter((sample) => {
    const isShort = !fits(recogniser, sample, letters.encode(sample.text));
    if (isShort) skipped.push({ file: sample.file, reason: 'is too short for its text' });
    return !isShort;
  });
  report(skipped, total, console.log);
  if (training.length === 0) throw new UsageError('nothing is left to learn from');
  const what = kind === 'image' ? 'lines' : 'recordings';
  console.log(
    `${training.length} ${what} to learn from; ${heldOut.length} others, of ${heldOutTexts.size} texts that training does not have, are held out.`,
  );
  console.log(`${letters.symbols.length} letters: ${letters.symbols.join('')}`);
  const unknown = [...new Set(heldOut.flatMap(({ text }) => Array.from(text)))].filter((one) => !letters.has(one));
  if (unknown.length > 0) console.log(`No text to learn from has these of the held-out ones: ${unknown.join(' ')}`);

  await mkdir(options.out, { recursive: true });
  const file = join(options.out, 'recogniser.safetensors');
  const best = await fit(recogniser, run, { training, heldOut, ...options });
  const facts = { seed: options.seed, step: best.step, heldOutCharacterErrorRate: best.rate };
  const kept = { ...recogniser, params: best.params };
  await writeWhole(file, await saveRecogniser(kept, facts));
  const curve = join(options.out, 'loss.svg');
  await writeFile(curve, await lossCurve('CTC loss and held-out character error rate', run));
  console.log(`${best.why} The best recogniser, of step ${best.step}, is kept.`);
  conclude('Held-out', kept, heldOut);
  if (options.test !== null) await testOn(kept, options.test);
  console.log(`Recogniser ${file}, loss curve ${curve}`);
}

/** Trains to the end, to a signal, or until nothing gets better. Returns the best parameters. */
async function fit(recogniser, run, { training, heldOut, batch: size, patience }) {
  const batches = batchesOf(recogniser, training, size, run.random);
  const checked = heldOut.slice(0, ON_THE_WAY);
  const progress = new Progress(run, { unit: 'files', rateOf });
  let best = { rate: Infinity, step: 0, params: run.params };
  let worse = 0;
  let count = 0;
  const isDone = await trainUntilSignal(run, {
    step: async () => {
      const { value: batch } = batches.next();
      count = batch.length;
      trainStep(recogniser, run, batch);
    },
    interval: Math.max(LEAST_INTERVAL, Math.ceil(run.steps / EVALUATIONS)),
    evaluate: async () => {
      const [{ rate }] = judge(checked, readAll({ ...recogniser, params: run.params }, checked));
      run.evaluations.push({ step: run.step, characterErrorRate: rate });
      // On the plateau on which every CTC net begins nothing gets better, and that means nothing.
      worse = rate < best.rate || best.rate > READS ? 0 : worse + 1;
      if (rate < best.rate) best = { rate, step: run.step, params: run.params };
    },
    show: () => progress.update(run, count),
    agree: async (isAsked) => isAsked || worse >= patience,
  });
  progress.stop();
  if (best.step === 0) best = { rate: NaN, step: run.step, params: run.params };
  const why = isDone
    ? 'All steps are made.'
    : worse >= patience
      ? `Nothing got better in ${patience} evaluations: stopped at step ${run.step}.`
      : `Stopped at step ${run.step}.`;
  return { ...best, why };
}

/** Shows some readings and the error rates. */
function conclude(name, recogniser, samples) {
  const readings = readAll(recogniser, samples);
  const step = Math.max(1, Math.floor(samples.length / SAMPLES));
  for (let i = 0; i < samples.length; i += step)
    console.log(`  ${samples[i].text === readings[i] ? ' ' : '*'} truth ${samples[i].text}\n    read  ${readings[i]}`);
  const [characters, words] = judge(samples, readings);
  const { rate, substitutions, insertions, deletions, referenceLength, exactMatches, pairs } = characters;
  console.log(
    `${name} CER ${(100 * rate).toFixed(2)} % on ${pairs} files: ${substitutions} substitutions, ${insertions} insertions, ${deletions} deletions in ` +
      `${referenceLength} characters; WER ${(100 * words.rate).toFixed(2)} %; ${exactMatches} read exactly`,
  );
}

async function openRecogniser(file) {
  try {
    return loadRecogniser(await readFile(file));
  } catch (error) {
    if (error.code === 'ENOENT') throw new UsageError(`there is no recogniser ${file}; train one first`);
    if (error instanceof FormatError) throw new UsageError(`${file}: ${error.message}`);
    throw error;
  }
}

async function testOn(recogniser, folder) {
  const { samples, skipped } = await openFolder(folder, recogniser.settings.kind);
  report(skipped, samples.length + skipped.length, console.log);
  if (samples.length === 0) throw new UsageError(`${folder} has nothing that can be read`);
  for (const sample of samples) sample.prepared = prepare(recogniser.settings, sample.decoded);
  conclude(folder, recogniser, samples);
}

async function test({ data, model }) {
  await testOn(await openRecogniser(model), data);
}

/** Prints each file's name and text, tab between; what cannot be read is said on stderr. */
async function read({ files, model }) {
  const recogniser = await openRecogniser(model);
  let failed = 0;
  for (const file of files) {
    try {
      if (kindOf(file) !== recogniser.settings.kind)
        throw new Error(`is no ${recogniser.settings.kind === 'image' ? 'PNG' : 'WAV'}, as the recogniser wants it`);
      const prepared = prepare(recogniser.settings, decode(recogniser.settings.kind, await bytesOf(file)));
      console.log(`${file}\t${readAll(recogniser, [{ prepared }])[0]}`);
    } catch (error) {
      failed++;
      console.error(`  skipped ${file}: ${oneLine(error)}`);
    }
  }
  if (failed === 0) return;
  console.error(`${failed} of ${files.length} files are left out.`);
  process.exitCode = 1;
}

try {
  const options = readOptions(process.argv.slice(2));
  await commands[options.command](options);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
