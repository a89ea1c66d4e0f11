import { device, mapTensors, setDefaultDevice } from 'tapegrad';
import { explain } from '../digits/evaluation.mjs';
import { STRIDE } from '../digits/model.mjs';
import { loadRun, saveRun } from '../digits/training.mjs';
import { lineOf } from './ink.mjs';
import { Paper } from './paper.mjs';
import { drawCurve, drawSeen } from './pictures.mjs';
import { Trainer } from './trainer.mjs';

/* global CHECKPOINT -- the checkpoint that was built in, or null: build.mjs puts it here */

const element = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(share > 0.999 ? 2 : 1)} %`;
const SEED = 1;
const PHASES = { start: 'starting', plateau: 'blank plateau: it reads nothing yet', learning: 'learning to read' };

/** What reads: a run of examples/digits, from `npm start`, from a file or from training here. @type {import('../digits/training.mjs').Run | null} */
let run = null;
/** What was read last. */
let reading = null;
/** @type {Trainer | null} */
let trainer = null;
/** What the curve shows. */
let history = { steps: 900, losses: [], evaluations: [] };

const paper = new Paper(element('paper'), () => {
  element('hint').hidden = paper.strokes.length > 0;
  for (const id of ['undo', 'clear']) element(id).disabled = paper.strokes.length === 0;
  void readAgain();
});
element('undo').addEventListener('click', () => paper.undo());
element('clear').addEventListener('click', () => paper.clear());

// Reading, one line at a time: what is written meanwhile is read when that is done, and only the newest of it.

let isReading = false;
let isStale = false;

async function readAgain() {
  isStale = true;
  if (isReading) return;
  isReading = true;
  while (isStale) {
    isStale = false;
    const line = lineOf(paper.strokes);
    try {
      reading = line && run ? { ...(await explain(run.params, line)), line } : null;
    } catch (error) {
      say(`Reading failed: ${error.message}`);
    }
    showReading();
    await new Promise(requestAnimationFrame);
  }
  isReading = false;
}

function showReading() {
  const { labels = [], spans = [], logProb = 0, line } = reading ?? {};
  element('reading').value = labels.join('');
  element('certainty').textContent = !reading
    ? 'Nothing is written yet.'
    : labels.length > 0
      ? `${percent(Math.exp(logProb))} sure`
      : 'The network reads nothing here.';
  element('labels').replaceChildren(
    ...spans.map(({ start, end }, i) => {
      const span = document.createElement('span');
      span.textContent = labels[i];
      span.style.left = `${line.toPaper(((start + end) / 2) * STRIDE)}px`;
      return span;
    }),
  );
  drawSeen(element('seen'), reading);
}

// Weights: built in, from a file, or from training.

function take(newRun, what) {
  run = newRun;
  history = { steps: run.steps, losses: [...run.losses], evaluations: [...run.evaluations] };
  say(what);
  showRun();
  void readAgain();
}

const say = (text) => {
  element('status').textContent = text;
};

/** What a run has learned, in words. */
function describe({ step, evaluations }) {
  const last = evaluations.at(-1);
  return `${step} training steps${last ? `, character error rate ${percent(last.characterErrorRate)}` : ''}`;
}

function showRun() {
  const isTraining = trainer !== null;
  const isUnfinished = run !== null && run.step < run.steps;
  element('train').hidden = isTraining;
  element('train').disabled = false;
  element('resume').hidden = isTraining || !isUnfinished;
  element('stop').hidden = !isTraining;
  element('save').disabled = run === null;
  for (const id of ['load', 'steps', 'batch', 'device']) element(id).disabled = isTraining;
  if (isTraining) document.querySelector('.meter').hidden = false;
  element('progress').max = history.steps;
  element('progress').value = history.losses.length;
  drawCurve(element('curve'), history);
}

element('save').addEventListener('click', async () => {
  const url = URL.createObjectURL(new Blob([await saveRun(run)], { type: 'application/octet-stream' }));
  const link = Object.assign(document.createElement('a'), { href: url, download: `digits-${run.step}.safetensors` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
});
element('load').addEventListener('click', () => element('file').click());
element('file').addEventListener('change', async ({ target }) => {
  const [file] = target.files;
  target.value = ''; // the same file may be chosen again
  if (!file) return;
  try {
    const loaded = loadRun(await file.arrayBuffer());
    take(loaded, `${file.name}: ${describe(loaded)}.`);
  } catch (error) {
    say(`${file.name} cannot be read: ${error.message}`);
  }
});

// Training.

element('train').addEventListener('click', () => {
  const wrong = [element('steps'), element('batch')].find((input) => !input.checkValidity());
  if (wrong) wrong.reportValidity();
  else train(null, { seed: SEED, steps: element('steps').valueAsNumber, batch: element('batch').valueAsNumber });
});
element('resume').addEventListener('click', async () => train(await saveRun(run), null));
element('stop').addEventListener('click', () => {
  trainer?.stop();
  element('stop').disabled = true;
});

function train(file, options) {
  let began = 0;
  let first = 0;
  const end = (text) => {
    trainer = null;
    element('stop').disabled = false;
    say(text);
    showRun();
  };
  trainer = new Trainer(
    { device: element('device').value, file, options },
    {
      began: (from) => {
        history = from;
        began = performance.now();
        first = from.losses.length;
        element('figures').textContent = '';
        say('Training, with what you write read by the newest weights.');
        showRun();
      },
      step: ({ step, phase, loss, rate, batch, evaluation }) => {
        history.losses.push(loss);
        if (evaluation) history.evaluations.push(evaluation);
        const perStep = (performance.now() - began) / 1000 / (step - first);
        element('figures').textContent = [
          `step ${step} of ${history.steps}`,
          PHASES[phase],
          `loss ${loss.toFixed(3)}`,
          `rate ${rate.toExponential(1)}`,
          `${Math.round(batch / perStep)} lines/s`,
          `${duration((history.steps - step) * perStep)} left`,
        ].join(' · ');
        element('progress').value = step;
        drawSoon();
      },
      weights: (bytes) => {
        run = loadRun(bytes);
        element('save').disabled = false;
        void readAgain();
      },
      ended: (bytes) => {
        run = loadRun(bytes);
        end(`Trained here: ${describe(run)}.`);
        void readAgain();
      },
      failure: (message) => end(`Training failed: ${message}`),
    },
  );
  say('Starting …');
  showRun();
}

function duration(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

let isDue = false;
function drawSoon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    drawCurve(element('curve'), history);
  });
}

// The GPU is offered where there is one.

element('device').addEventListener('change', async ({ target }) => {
  try {
    await moveTo(target.value);
  } catch (error) {
    say(`No GPU after all: ${error.message}`);
    target.value = 'cpu';
    await moveTo('cpu');
  }
  void readAgain();
});

async function moveTo(name) {
  const there = await device(name);
  setDefaultDevice(there);
  // What is being read meanwhile goes on with the parameters that it began with.
  if (run) run = { ...run, ...mapTensors((t) => t.to(there), { params: run.params, state: run.state }) };
}

async function offerGpu() {
  const adapter = await globalThis.navigator.gpu?.requestAdapter().catch(() => null);
  if (adapter) element('device').add(new Option('GPU (WebGPU)', 'webgpu'));
  else element('devices').title = 'This browser offers no WebGPU here.';
}

// A new width, or night falls.
const redraw = () => {
  paper.draw();
  drawSeen(element('seen'), reading);
  drawCurve(element('curve'), history);
};
addEventListener('resize', redraw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

showReading();
showRun();
await offerGpu();
if (CHECKPOINT === null) {
  say('Nothing was built in to read with: train it below, or run npm start and build this page again.');
} else {
  const response = await fetch(CHECKPOINT);
  const built = loadRun(await response.arrayBuffer());
  take(built, `A network of 62,603 parameters reads along, in this page: ${describe(built)}.`);
}
document.documentElement.dataset.ready = 'true';
