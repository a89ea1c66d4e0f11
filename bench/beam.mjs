// npm run bench -- beam [--quick]
// beamDecodeSync on one thread, through the public API, on made-up scores that look like a network's (bench/emissions.mjs). Processor time,
// medians, taking turns; frames a second. Beside it the same with exact scores (rescore), a stream in pieces of ten frames, and 32 sequences on two threads.
import { parseArgs } from 'node:util';
import { beamDecodeSync, BeamStream, memory, setThreads, tensor } from '../dist/index.js';
import { warmThreads } from '../dist/backends/cpu/pool.js';
import { emissions } from './emissions.mjs';
import { machine, processorTimes } from './harness.mjs';
import { benchSteering } from './steering.mjs';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
console.log(`${machine()}\n`);
setThreads(1);

const rate = (frames, ms) => `${Math.round(frames / ms)} k`.padStart(10);
console.log('  classes  kind       width   frames/s   rescored   pieces of 10, ratio   proven');
for (const [classes, frames, kind, widths] of [
  [32, 1500, 'peaky', [16, 64, 256]],
  [32, 1500, 'unsure', [16, 64, 256]],
  [5000, 500, 'peaky', [16, 64]],
]) {
  const { scores } = emissions({ frames, classes, labels: Math.floor(frames / 10), kind });
  const x = tensor(scores, { shape: [frames, classes] });
  const pieces = Array.from({ length: frames / 10 }, (_, i) =>
    tensor(scores.slice(i * 10 * classes, (i + 1) * 10 * classes), { shape: [10, classes] }),
  );
  for (const width of widths) {
    const milliseconds = values.quick ? 50 : 300;
    let result;
    const [plain, exact, streamed] = processorTimes(
      [
        () => ([result] = beamDecodeSync(x, { width, rescore: false })),
        () => beamDecodeSync(x, { width }),
        () => {
          const stream = new BeamStream(classes, { width });
          for (const piece of pieces) stream.push(piece);
          stream.finish();
        },
      ],
      milliseconds,
    );
    console.log(
      `${String(classes).padStart(9)}  ${kind.padEnd(9)}${String(width).padStart(7)} ${rate(frames, plain)} ${rate(frames, exact)} ` +
        `${rate(frames, streamed)} ${(streamed / plain).toFixed(2).padStart(10)}   ${result.proven}`,
    );
  }
}

{
  const [frames, classes] = [1500, 32];
  const batch = Array.from({ length: 32 }, (_, n) => emissions({ frames, classes, labels: 150, seed: n + 1 }).scores);
  const all = new Float32Array(32 * frames * classes);
  batch.forEach((scores, n) => all.set(scores, n * scores.length));
  const x = tensor(all, { shape: [32, frames, classes] });
  const run = () => beamDecodeSync(x, { layout: 'NTC', width: 64, rescore: false });
  const wall = () => {
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now();
      run();
      return performance.now() - start;
    });
    return times.sort((a, b) => a - b)[2];
  };
  run();
  const one = wall();
  setThreads(2);
  await warmThreads();
  run();
  const two = wall();
  setThreads(1);
  console.log(
    `\n32 sequences, width 64, wall time: one thread ${one.toFixed(0)} ms, two ${two.toFixed(0)} ms, ${(one / two).toFixed(2)} times`,
  );
}

{
  const [frames, classes] = [10_000, 32];
  const x = tensor(emissions({ frames, classes, labels: 1000, kind: 'unsure' }).scores, { shape: [frames, classes] });
  const stream = new BeamStream(classes, { width: 16 });
  for (let i = 0; i < 3; i++) stream.push(x).take();
  const before = memory().reservedBytes;
  for (let i = 3; i < (values.quick ? 10 : 100); i++) stream.push(x).take();
  console.log(
    `a stream of ${values.quick ? '100 thousand' : 'a million'} frames: reserved memory grew by ${memory().reservedBytes - before} bytes, ${stream.taken} labels taken`,
  );
  stream.finish();
}

benchSteering(values.quick ? 50 : 300);
