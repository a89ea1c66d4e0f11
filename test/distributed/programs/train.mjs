// 20 steps of the example, saved after 10 of them and resumed from there. train.mjs SAVE FILE, or train.mjs RESUME FILE.
import { readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { setThreads, tensorsOf } from 'tapegrad';
import { init } from 'tapegrad/distributed';
import { loadDigits } from '../../../examples/digits/digits.mjs';
import { loadRun, saveRun, startRun, trainStep } from '../../../examples/digits/training.mjs';
import { report } from './report.mjs';

const [mode, file] = process.argv.slice(2);
setThreads(1);
const world = await init({ timeout: 240 });
const { rank, size } = world;
const { training } = loadDigits();
const steps = async (run, count) => {
  for (let i = 0; i < count; i++) await trainStep(run, training, size === 1 ? null : world);
  await world.assertSame({ params: run.params, state: run.state }, 'the run');
};
const digest = ({ params, state }) => {
  const hash = createHash('sha256');
  for (const t of tensorsOf({ params, state })) hash.update(new Uint8Array(t.dataSync().buffer));
  return hash.digest('hex');
};

if (mode === 'SAVE') {
  const run = startRun({ seed: 3, steps: 20, batch: 17 }); // does not go into equal shares
  await steps(run, 10);
  const half = await saveRun(run);
  const halfDigest = digest(run);
  if (rank === 0) writeFileSync(file, half);
  await steps(run, 10);
  const resumed = loadRun(half);
  await steps(resumed, 10);
  const isSame = Buffer.compare(await saveRun(resumed), await saveRun(run)) === 0;
  report(rank, { losses: run.losses, isSame, half: halfDigest, digest: digest(run) });
} else {
  const run = loadRun(readFileSync(file));
  const half = digest(run);
  await steps(run, 10);
  report(rank, { losses: run.losses, half });
}
await world.close();
