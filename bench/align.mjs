// npm run bench -- align [--quick]
// ctcAlignSync on one thread, through the public API, beside bench/yardsticks/viterbi.cpp (the textbook in C++ -O3, compiled here, no allocation
// left out on either side), on the same made-up scores of 32 classes. Processor time, medians; the two take turns. Of the kinds of scores, "flat" are all
// equal: every path is a best one, and nothing can be cut.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ctcAlignSync, setThreads, tensor } from '../dist/index.js';
import { heap } from '../dist/internals.js';
import { emissions } from './emissions.mjs';
import { machine, processorTime } from './harness.mjs';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const CLASSES = 32;
const ROWS = [
  { frames: 1500, labels: 150, kind: 'peaky' },
  { frames: 1500, labels: 150, kind: 'unsure' },
  { frames: 1500, labels: 150, kind: 'nonsense' },
  { frames: 1500, labels: 150, kind: 'flat' },
  { frames: 1500, labels: 700, kind: 'flat' },
  { frames: 15_000, labels: 1500, kind: 'peaky' },
  { frames: 15_000, labels: 1500, kind: 'unsure' },
  { frames: 15_000, labels: 1500, kind: 'nonsense' },
  { frames: 15_000, labels: 1500, kind: 'flat' },
  { frames: 15_000, labels: 7000, kind: 'flat' },
  { frames: 180_000, labels: 30_000, kind: 'peaky' },
  { frames: 180_000, labels: 30_000, kind: 'peaky', errors: 0.1 },
  { frames: 180_000, labels: 30_000, kind: 'unsure' },
].filter(({ frames }) => !values.quick || frames < 100_000);

setThreads(1);
const folder = mkdtempSync(join(tmpdir(), 'tapegrad-align-'));
try {
  const yardstick = join(folder, 'viterbi');
  const source = join(fileURLToPath(import.meta.url), '..', 'yardsticks', 'viterbi.cpp');
  execFileSync('g++', ['-O3', '-march=native', '-std=c++17', source, '-o', yardstick]);
  console.log(`${machine()}; yardstick: g++ -O3 -march=native\n`);
  console.log('  frames  labels kind          errors   passes  tapegrad ms   textbook ms   ratio   scratch MB');
  for (const { frames, labels, kind, errors = 0.05 } of ROWS) {
    const { scores, target } = emissions({ frames, classes: CLASSES, labels, kind, errors });
    writeFileSync(join(folder, 'scores'), scores);
    writeFileSync(join(folder, 'target'), target);
    const x = tensor(scores, { shape: [frames, CLASSES] });
    const large = frames > 100_000;
    const mine = [];
    const theirs = [];
    let alignment;
    for (let round = 0; round < (large ? 2 : 5); round++) {
      mine.push(processorTime(() => ([alignment] = ctcAlignSync(x, target)), large ? 1 : 200));
      const args = [
        'scores',
        String(frames),
        String(CLASSES),
        'target',
        String(labels),
        large ? '1' : frames > 10_000 ? '5' : '100',
      ];
      theirs.push(Number(execFileSync(yardstick, args, { cwd: folder, encoding: 'utf8' }).split(' ')[0]));
    }
    const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
    const [own, other] = [median(mine), median(theirs)];
    console.log(
      `${String(frames).padStart(8)}${String(labels).padStart(8)} ${kind.padEnd(12)}${String(errors).padStart(8)}${String(alignment.passes).padStart(9)}` +
        `${own.toFixed(own < 10 ? 3 : 0).padStart(13)}${other.toFixed(other < 10 ? 3 : 0).padStart(14)}${(other / own).toFixed(1).padStart(8)}` +
        `${(heap().functions.ctcAlignWorkspace(frames, CLASSES, labels) / 1e6).toFixed(1).padStart(13)}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
