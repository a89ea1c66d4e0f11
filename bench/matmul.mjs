// Matrix products on one thread, beside jax-js's WebAssembly backend where it can be found, and on all cores.
//
//   npm run build && node bench/matmul.mjs [--peer <folder>] [--json]
//
// jax-js is no dependency of this package. To compare, install it anywhere (npm install --prefix <folder> @jax-js/jax) and name that folder.
// Its synchronous read runs the kernel on the calling thread: one thread against one.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { matmul, scope, setThreads, tensor, threads } from 'tapegrad';
import { machine, race } from './harness.mjs';

const { values: options } = parseArgs({
  options: { peer: { type: 'string' }, json: { type: 'boolean', default: false } },
});

async function loadPeer(folder) {
  const require = createRequire(join(resolve(folder), 'package.json'));
  const jax = await import(pathToFileURL(require.resolve('@jax-js/jax')).href);
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  return jax.numpy;
}

const cores = threads();
const numpy = options.peer === undefined ? null : await loadPeer(options.peer);
const results = [];
for (const n of [64, 128, 256, 512, 1024]) {
  const values = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i * 0.7));
  const alternatives = {};
  const ours = tensor(values, { shape: [n, n] });
  alternatives.tapegrad = () => scope(() => matmul(ours, ours).dataSync().length);
  if (numpy) {
    const theirs = numpy.array(values).reshape([n, n]);
    alternatives['jax-js'] = () => numpy.matmul(theirs.ref, theirs.ref).dataSync().length;
  }
  setThreads(1);
  const times = await race(alternatives);
  setThreads(cores);
  const { tapegrad: allCores } = await race({ tapegrad: alternatives.tapegrad });
  results.push({
    n,
    times,
    allCores,
    gflops: (2 * n ** 3) / times.tapegrad.median / 1e6,
    ...(numpy && { ratio: times['jax-js'].median / times.tapegrad.median }),
  });
}

if (options.json) {
  console.log(JSON.stringify({ benchmark: 'matmul', machine: machine(), results }, null, 2));
} else {
  console.log(`Square matrix products, float32, one thread where not said otherwise; ${machine()}`);
  console.log('milliseconds: median (best to worst)');
  const cell = ({ median, best, worst }) =>
    `${median.toFixed(3)} (${best.toFixed(3)} to ${worst.toFixed(3)})`.padEnd(32);
  for (const { n, times, allCores, gflops, ratio } of results) {
    const peer = times['jax-js'] ? `jax-js ${cell(times['jax-js'])} tapegrad is ${ratio.toFixed(2)}x as fast` : '';
    console.log(
      `${String(n).padStart(5)}  tapegrad ${cell(times.tapegrad)} ${gflops.toFixed(1).padStart(5)} GFLOP/s  ${peer}`,
    );
    console.log(`       ${cores} threads ${cell(allCores)}`);
  }
  if (!numpy) console.log('Name a folder with @jax-js/jax installed (--peer <folder>) to compare.');
}
