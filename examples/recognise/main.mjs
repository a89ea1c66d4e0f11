import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
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
  loadTraining,
  rateOf,
  readAll,
  saveRecogniser,
  saveTraining,
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

/** Reads and decodes the files of a folder; whatever cannot be used joins the skipped ones. The digest is of all that can. */
async function openFolder(folder, wanted = null) {
  const { kind, items, skipped } = await listFolder(folder);
  const isKind = wanted === null || kind === wanted;
  const samples = [];
  const hash = createHash('sha256');
  for (const { file, text } of items) {
    try {
      if (!isKind) throw new Error(`is no ${wanted === 'image' ? 'image' : 'sound'}, as the recogniser wants it`);
      const bytes = await bytesOf(file);
      samples.push({ file, text, decoded: decode(kind, bytes) });
      hash.update(`${relative(folder, file)}\t${text}\t${bytes.length}\n`).update(bytes);
    } catch (error) {
      skipped.push({ file, reason: oneLine(error) });
    }
  }
  return { kind, samples, skipped, digest: hash.digest('hex') };
}

const oneLine = ({ message }) => message.replace(/\s+/g, ' ').slice(0, 200);

async function train(given) {
  const earlier = given.resume === null ? null : await openTraining(given.resume);
  const seedAndData = { seed: earlier?.run.seed ?? given.seed, data: given.data ?? earlier.run.data };
  const options = { ...given, ...seedAndData };
  const { kind, samples, skipped, digest } = await openFolder(options.data);
  if (earlier && digest !== earlier.run.digest)
    throw new UsageError(
      `--resume: the files of ${options.data} are not those that ${given.resume} was learning from; train anew, or say where they are with --data`,
    );
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
  const { seed, steps, batch, patience, data } = options;
  const { recogniser, run } =
    earlier ?? startTraining({ settings, letters, seed, steps, batch, patience, data, digest });
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
  const [file, checkpoint] = ['recogniser', 'checkpoint'].map((name) => join(options.out, `${name}.safetensors`));
  const end = await fit(recogniser, run, { training, heldOut, checkpoint });
  const { rate, step } = run.best;
  const kept = { ...recogniser, params: run.kept };
  await writeWhole(file, await saveRecogniser(kept, { seed: run.seed, step, heldOutCharacterErrorRate: rate }));
  const curve = join(options.out, 'loss.svg');
  await writeFile(curve, await lossCurve('CTC loss and held-out character error rate', run));
  console.log(`${end.why} The best recogniser, of step ${step}, is kept.`);
  if (end.isInterrupted) console.log(`Go on with:\n\n  npm run recognise -- train --resume ${checkpoint}\n`);
  conclude('Held-out', kept, heldOut);
  if (options.test !== null) await testOn(kept, options.test);
  console.log(`Recogniser ${file}, loss curve ${curve}`);
}

async function openTraining(file) {
  try {
    return loadTraining(await readFile(file));
  } catch (error) {
    if (['ENOENT', 'EISDIR'].includes(error.code)) throw new UsageError(`--resume: there is no file ${file}`);
    if (error instanceof FormatError) throw new UsageError(`--resume: cannot go on from ${file}: ${error.message}`);
    throw error;
  }
}

/** Trains to the end, to a signal, or until nothing gets better; keeps the best parameters in the run, and the run in the checkpoint. */
async function fit(recogniser, run, { training, heldOut, checkpoint }) {
  const batches = batchesOf(recogniser, training, run);
  const checked = heldOut.slice(0, ON_THE_WAY);
  const progress = new Progress(run, { unit: 'files', rateOf });
  const save = async () => writeWhole(checkpoint, await saveTraining(recogniser, run));
  const isIdle = () => run.worse >= run.patience;
  let count = 0;
  if (!isIdle())
    await trainUntilSignal(run, {
      step: async () => {
        const { value: batch } = batches.next();
        count = batch.length;
        trainStep(recogniser, run, batch);
      },
      interval: Math.max(LEAST_INTERVAL, Math.ceil(run.steps / EVALUATIONS)),
      evaluate: async () => {
        const [{ rate }] = judge(checked, readAll({ ...recogniser, params: run.params }, checked));
        run.evaluations.push({ step: run.step, characterErrorRate: rate });
        const { rate: least } = run.best;
        const isBetter = least === null || rate < least;
        // On the plateau on which every CTC net begins nothing gets better, and that means nothing.
        run.worse = isBetter || least > READS ? 0 : run.worse + 1;
        if (isBetter) Object.assign(run, { best: { rate, step: run.step }, kept: run.params });
        await save();
      },
      show: () => progress.update(run, count),
      agree: async (isAsked) => isAsked || isIdle(),
    });
  progress.stop();
  if (run.best.rate === null) Object.assign(run, { best: { rate: null, step: run.step }, kept: run.params });
  await save();
  if (run.step === run.steps) return { why: 'All steps are made.' };
  if (isIdle()) return { why: `Nothing got better in ${run.patience} evaluations: stopped at step ${run.step}.` };
  return { why: `Stopped at step ${run.step}.`, isInterrupted: true };
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
