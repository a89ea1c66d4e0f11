// A window over each channel by itself (groups: channels) beside one over all of them: processor time of value and gradients of a whole call, and the most
// memory in use at one time. On one thread.
import { conv1d, conv2d, memory, random, resetPeakMemory, setThreads, valueAndGrad } from 'tapegrad';
import { machine, processorTimes } from './harness.mjs';

setThreads(1);
const source = random(0);

/** Value and gradients by x and the weight, and the most bytes that they need beside those. */
function workload(convolve, shape, weightShape, options) {
  const [x, weight] = [source.normal(shape), source.normal(weightShape)];
  const run = () => valueAndGrad((a, b) => convolve(a, b, options).sum(), { argnums: [0, 1] })(x, weight);
  run();
  const before = memory().usedBytes;
  resetPeakMemory();
  run();
  return { run, bytes: memory().peakBytes - before };
}

const rows = [
  ['conv1d [4, 100, 64], K = 31', conv1d, [4, 100, 64], [31], 64],
  ['conv1d [1, 1000, 256], K = 31', conv1d, [1, 1000, 256], [31], 256],
  ['conv1d [8, 400, 24], K = 9', conv1d, [8, 400, 24], [9], 24],
  ['conv2d [2, 32, 32, 64], 3 x 3', conv2d, [2, 32, 32, 64], [3, 3], 64],
];

console.log(`${machine()}; milliseconds of processor time, MiB at the peak`);
console.log('| value and gradients | dense | depthwise | ratio | dense, MiB | depthwise, MiB |');
console.log('|---|---|---|---|---|---|');
for (const [name, convolve, shape, kernel, channels] of rows) {
  const dense = workload(convolve, shape, [channels, ...kernel, channels], { padding: 'same' });
  const depthwise = workload(convolve, shape, [channels, ...kernel, 1], { padding: 'same', groups: channels });
  const [slow, fast] = processorTimes([dense.run, depthwise.run]);
  const mib = ({ bytes }) => (bytes / 2 ** 20).toFixed(2);
  console.log(
    `| ${name} | ${slow.toFixed(2)} | ${fast.toFixed(2)} | ${(slow / fast).toFixed(1)} | ${mib(dense)} | ${mib(depthwise)} |`,
  );
}
