import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { FormatError, setThreads, tensor } from 'tapegrad';
import { init } from 'tapegrad/distributed';
import { lossCurve } from '../shared/charts.mjs';
import { trainUntilSignal, writeWhole } from '../shared/loop.mjs';
import { UsageError } from '../shared/options.mjs';
import { chooseProducts } from '../shared/products.mjs';
import { Progress } from '../shared/progress.mjs';
import { linePicture } from './charts.mjs';
import { loadDigits } from './digits.mjs';
import { explain, heldOutLines, judge, readLines, readLinesByBeam, readLinesBySum, WIDTH } from './evaluation.mjs';
import { readOptions, USAGE } from './options.mjs';
import { lineAsText } from './text.mjs';
import { largest, loadRun, rateOf, saveRun, startRun, trainStep } from './training.mjs';

const TEST_LINES = 2000;
const LINES_ON_THE_WAY = 200;
const EVALUATIONS = 12;
const SAMPLES = 4;

/**
 * The processes that train together, with --distributed; looked for before all else, because only the first of them speaks.
 * @type {import('tapegrad/distributed').World | null}
 */
const world = process.argv.includes('--distributed') ? await init() : null;
const isFirst = !world || world.rank === 0;
const say = isFirst ? console.log : () => {};

async function main() {
  const options = readOptions(process.argv.slice(2));
  if (options.help) {
    if (isFirst) process.stdout.write(USAGE);
    return;
  }
  const run = options.resume === null ? startRun(options) : await resume(options.resume);
  if (world) joinForces(world, run);
  const products = await chooseProducts(options.blas);
  const digits = loadDigits();
  const out = options.out ?? (options.resume === null ? 'out/digits' : dirname(options.resume));
  if (isFirst) await mkdir(out, { recursive: true });
  const checkpoint = join(out, 'checkpoint.safetensors');

  const count = digits.training.flat().length;
  say(
    `Digit lines out of ${count} handwritten digits; ${digits.heldOut.flat().length} others are held out. Seed ${run.seed}, ${run.steps} steps.`,
  );
  if (products) say(products);
  say(
    'At first the net reads nothing at all: the blank plateau, where every CTC net begins. After 100 to 250 steps it starts to read.',
  );
  say(
    `Shown are the loss a label, the learning rate, and the character error rate (CER) on ${LINES_ON_THE_WAY} held-out lines.\n`,
  );
  const finished = await train(run, digits, checkpoint);
  if (!finished) {
    const again = `npm start -- ${world ? '--distributed ' : ''}--resume ${checkpoint}`;
    say(`Stopped at step ${run.step} and saved. Go on with:\n\n  ${again}\n`);
    process.exitCode = 130; // what shells report after Ctrl-C
    return;
  }
  if (isFirst) await report(run, digits, { out, checkpoint, checkDigit: options.checkDigit });
}

/**
 * Each process needs a line of every batch. The cores of a machine are divided among its processes, unless OMP_NUM_THREADS says how many each has.
 */
function joinForces({ size, localSize, library }, run) {
  if (size > run.batch)
    throw new UsageError(`--distributed: ${size} processes cannot share ${run.batch} lines; raise --batch`);
  setThreads(Number(process.env.OMP_NUM_THREADS) || Math.max(1, Math.floor(availableParallelism() / localSize)));
  say(`${size} ${size === 1 ? 'process' : 'processes'}, ${library ?? 'without MPI'}. ${run.batch} lines a step.`);
}

async function resume(file) {
  try {
    return loadRun(world ? await broadcastFile(world, file) : await readFile(file));
  } catch (error) {
    if (['ENOENT', 'EISDIR'].includes(error.code)) throw new UsageError(`--resume: there is no file ${file}`);
    if (error instanceof FormatError) throw new UsageError(`--resume: cannot go on from ${file}: ${error.message}`);
    throw error;
  }
}

/** A file that only the first process needs to have. */
async function broadcastFile(world, file) {
  const bytes = isFirst ? await readFile(file).catch(() => null) : null;
  const length = await largest(world, bytes?.length ?? -1);
  if (length < 0) throw new UsageError(`--resume: cannot read ${file} on the first process`);
  const filled = new Uint8Array(Math.ceil(length / 4) * 4);
  if (bytes) filled.set(bytes);
  const words = new Int32Array(filled.buffer);
  const { buffer } = (await world.broadcast(tensor(words))).dataSync();
  return new Uint8Array(buffer, 0, length);
}

/** Trains to the end, or to Ctrl-C; saves either way. Returns whether the end was reached. */
async function train(run, digits, checkpoint) {
  const lines = heldOutLines(digits.heldOut, LINES_ON_THE_WAY);
  const progress = isFirst
    ? new Progress(run, { unit: 'lines', rateOf: ({ steps, step }) => rateOf(steps, step) })
    : null;
  const isFinished = await trainUntilSignal(run, {
    step: () => trainStep(run, digits.training, world),
    interval: Math.ceil(run.steps / EVALUATIONS),
    evaluate: async () => {
      if (isFirst) {
        const { rate } = judge(lines, await readLines(run.params, lines));
        run.evaluations.push({ step: run.step, characterErrorRate: rate });
      }
      await save(run, checkpoint);
    },
    show: () => progress?.update(run, run.batch),
    signals: world ? ['SIGINT', 'SIGTERM'] : ['SIGINT'],
    agree: async (isAsked) => (await largest(world, Number(isAsked))) === 1, // all stop after the same step
  });
  progress?.stop();
  await save(run, checkpoint);
  return isFinished;
}

/** Of several processes, which must be equal to the last bit, the first one writes. */
async function save(run, file) {
  await world?.assertSame({ params: run.params, state: run.state }, `the run after step ${run.step}`);
  if (isFirst) await writeWhole(file, await saveRun(run));
}

async function report(run, digits, { out, checkpoint, checkDigit }) {
  const lines = heldOutLines(digits.heldOut, TEST_LINES);
  const readings = await readLines(run.params, lines);
  const result = judge(lines, readings);
  const others = [[`beam of ${WIDTH}`, await readLinesByBeam(run.params, lines)]];
  if (checkDigit) others.push(['digit sum known', await readLinesBySum(run.params, lines)]);

  const step = Math.floor(lines.length / SAMPLES);
  const samples = Array.from({ length: SAMPLES }, (_, i) => Math.floor((i + 0.5) * step));
  const wrong = readings.findIndex((reading, i) => reading.labels.join('') !== lines[i].labels.join(''));
  if (wrong >= 0 && !samples.includes(wrong)) samples.push(wrong);
  for (const i of samples) {
    const [truth, read] = [lines[i].labels.join(''), readings[i].labels.join('')];
    console.log(
      `\n${lineAsText(lines[i])}\n  truth ${truth}   read ${read || '(nothing)'}${truth === read ? '' : '   (wrong)'}`,
    );
  }

  const longest = await explain(run.params, lines[Math.floor(lines.length * 0.9)]);
  const pictures = [
    [join(out, 'loss.svg'), await lossCurve('Digit lines: CTC loss and held-out character error rate', run)],
    [join(out, 'alignment.svg'), await linePicture(longest)],
  ];
  for (const [file, svg] of pictures) await writeFile(file, svg);

  console.log(
    `\nHeld-out CER ${(100 * result.rate).toFixed(2)} % on ${result.pairs} lines: ${result.substitutions} substitutions, ${result.insertions} insertions, ` +
      `${result.deletions} deletions in ${result.referenceLength} digits`,
  );
  const shareOf = ({ exactMatches, pairs }) =>
    `${((100 * exactMatches) / pairs).toFixed(1)} % (${exactMatches} of ${pairs})`;
  console.log(`Lines read exactly: ${shareOf(result)}`);
  for (const [name, read] of others) {
    const judged = judge(lines, read);
    console.log(
      `${name[0].toUpperCase()}${name.slice(1)}: CER ${(100 * judged.rate).toFixed(2)} %, lines read exactly: ${shareOf(judged)}`,
    );
  }
  console.log(`Loss curve ${pictures[0][0]}, alignment ${pictures[1][0]}, checkpoint ${checkpoint}`);
}

try {
  await main();
  await world?.close();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  if (isFirst) console.error(error.message);
  process.exitCode = 2;
  await world?.close(); // the same mistake on all of them
}
