// npm run bench -- audio: how many seconds of sound a second of one thread's processor time takes in.
import { audio, random, setThreads } from 'tapegrad';
import { machine, processorTime } from './harness.mjs';

setThreads(1);
console.log(`${machine()}, one thread, processor time`);

const SECONDS = 30;
const clip = (rate) =>
  random(1)
    .normal([SECONDS * rate])
    .mul(0.1);
const times = (run) => `${Math.round((1000 * SECONDS) / processorTime(run, 1000))} times real time`;

for (const [name, rate, options] of [
  ['logMel, 80 bins, 16 kHz', 16_000, {}],
  ['logMel, 80 bins, 16 kHz, normalised, pre-emphasis', 16_000, { preEmphasis: 0.97, normalize: 'bins' }],
  ['logMel, 40 bins, 8 kHz', 8000, { bins: 40 }],
  ['logMel, 128 bins, 44.1 kHz', 44_100, { bins: 128 }],
]) {
  const samples = clip(rate);
  console.log(`${name}: ${times(() => audio.logMel(samples, rate, options))}`);
}
for (const [from, to] of [
  [44_100, 16_000],
  [16_000, 8000],
]) {
  const samples = clip(from);
  console.log(`resample, ${from} to ${to}: ${times(() => audio.resample(samples, from, to))}`);
}
const features = audio.logMel(clip(16_000), 16_000);
const source = random(2);
console.log(`specAugment, 80 bins: ${times(() => audio.specAugment(features, source))}`);
console.log(`timeStretch, 80 bins: ${times(() => audio.timeStretch(features, 0.9 + 0.2 * source.next()))}`);
