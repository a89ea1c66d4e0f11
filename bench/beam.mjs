// npm run bench -- beam [--quick]
// beamDecodeSync on one thread, through the public API, on made-up scores that look like a network's (bench/emissions.mjs). Processor time,
// medians, taking turns, and medians of the rounds' ratios; frames a second. Beside it the same with exact scores (rescore) and a stream in pieces of ten frames; then 32 sequences on two
// threads, an endless stream, and steered beams.
import { parseArgs } from 'node:util';
import { beamDecodeSync, BeamStream, memory, setThreads, tensor } from '../dist/index.js';
import { emissions } from './emissions.mjs';
import { machine, medianOf, processorRounds, processorTime, ratio } from './harness.mjs';
import { benchSequences } from './sequences.mjs';
import { benchSteering } from './steering.mjs';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
console.log(`${machine()}\n`);
setThreads(1);

const rate = (frames, ms) => `${Math.round(frames / ms)} k`.padStart(10);
/** Frames a second, with exact scores as well, and how much longer a stream takes: of the two that are compared neither runs after anything else. */
function measure(classes, frames, kind, width, milliseconds) {
  const { scores } = emissions({ frames, classes, labels: Math.floor(frames / 10), kind });
  const x = tensor(scores, { shape: [frames, classes] });
  const pieces = Array.from({ length: frames / 10 }, (_, i) =>
    tensor(scores.slice(i * 10 * classes, (i + 1) * 10 * classes), { shape: [10, classes] }),
  );
  const exact = processorTime(() => beamDecodeSync(x, { width }), milliseconds);
  let result;
  const [plain, streamed] = processorRounds(
    [
      () => ([result] = beamDecodeSync(x, { width, rescore: false })),
      () => {
        const stream = new BeamStream(classes, { width });
        for (const piece of pieces) stream.push(piece);
        stream.finish();
      },
    ],
    milliseconds,
  );
  return (
    `${String(classes).padStart(9)}  ${kind.padEnd(9)}${String(width).padStart(7)} ${rate(frames, medianOf(plain))} ${rate(frames, exact)} ` +
    `${rate(frames, medianOf(streamed))} ${ratio(streamed, plain).toFixed(2).padStart(10)}   ${result.proven}`
  );
}

const milliseconds = values.quick ? 50 : 300;
measure(32, 1500, 'peaky', 16, 300); // what is measured first would bear the cost of compiling all that the others use as well
console.log('  classes  kind       width   frames/s   rescored   pieces of 10, ratio   proven');
for (const [classes, frames, kind, widths] of [
  [32, 1500, 'peaky', [16, 64, 256]],
  [32, 1500, 'unsure', [16, 64, 256]],
  [5000, 500, 'peaky', [16, 64]],
])
  for (const width of widths) console.log(measure(classes, frames, kind, width, milliseconds));

await benchSequences();

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

benchSteering(milliseconds);
