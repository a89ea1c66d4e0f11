// What a gradient needs beside the forward pass: the most bytes in use at one time, and processor time. Every row has a process of its own, as
// WebAssembly's memory never shrinks. The last row is torch's, on one thread, where there is one.
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  checkpoint,
  concat,
  gelu,
  grad,
  gradCheck,
  hessian,
  memory,
  nn,
  random,
  relu,
  resetPeakMemory,
  scope,
  setThreads,
  split,
  tensor,
  tensorsOf,
} from 'tapegrad';
import { machine } from './harness.mjs';

const source = random(0);

/** A layer over [1, T, features], differentiated by its parameters. */
const layer = (made, frames, features) => {
  const x = source.normal([1, frames, features]);
  return { input: made.init(source), run: (p) => made.apply(p, x).sum() };
};

/** A recurrence with one matrix over frames that `frame(x, t)` reads from [T, width], differentiated by x. */
const loop = (frames, width, frame) => {
  const w = source.normal([width, width], { std: 0.05 });
  return {
    input: source.normal([frames, width]),
    run: (x) => {
      const read = frame(x);
      let h = read(0);
      for (let t = 1; t < frames; t++) h = read(t).add(h.matmul(w)).tanh();
      return h.sum();
    },
  };
};

/** Layers one after the other; `wrap` makes a block of each. */
const convStack = (depth, wrap = (block) => block) => {
  const conv = nn.conv2d(16, 16, 3, { padding: 1 });
  const x = source.normal([2, 32, 32, 16]);
  const block = wrap((p, y) => relu(conv.apply(p, y)));
  return {
    input: Array.from({ length: depth }, () => conv.init(source)),
    run: (layers) => layers.reduce((y, p) => block(p, y), x).sum(),
  };
};

/** Blocks as in a transformer's: products in and out of a wider layer, normalised, around which the value passes. */
const blockStack = (depth, wrap = (block) => block) => {
  const inner = nn.sequential(nn.layerNorm(128), nn.linear(128, 512), gelu, nn.linear(512, 128));
  const x = source.normal([256, 128]);
  const block = wrap((p, y) => y.add(inner.apply(p, y)));
  return {
    input: Array.from({ length: depth }, () => inner.init(source)),
    run: (layers) => layers.reduce((y, p) => block(p, y), x).sum(),
  };
};

const quartic = (t) => t.square().mul(t.flip(0)).add(t).square().sum();

/** `run` is the forward pass; `gradient` is grad(run) unless there is one. */
const workloads = {
  'lstm 32 -> 512, x [1, 600, 32]': () => layer(nn.lstm(32, 512), 600, 32),
  'lstm 32 -> 512, x [1, 1200, 32]': () => layer(nn.lstm(32, 512), 1200, 32),
  'gru 32 -> 256, x [1, 600, 32]': () => layer(nn.gru(32, 256), 600, 32),
  'gru 32 -> 256, x [1, 1200, 32]': () => layer(nn.gru(32, 256), 1200, 32),
  'x.slice(t), x [1600, 256]': () => loop(1600, 256, (x) => (t) => x.slice([t, t + 1])),
  'x.take([t]), x [1600, 256]': () => loop(1600, 256, (x) => (t) => x.take([t])),
  'split(x, 1600), x [1600, 256]': () =>
    loop(1600, 256, (x) => {
      const frames = split(x, 1600);
      return (t) => frames[t];
    }),
  'x.gather(indices), x [1600, 256]': () =>
    loop(1600, 256, (x) => (t) => x.gather(tensor(new Int32Array(256).fill(t), { shape: [1, 256] }), 0)),
  'concat of 400 results [256]': () => ({
    input: source.normal([400, 256]),
    run: (x) => {
      const rows = Array.from({ length: 400 }, (_, t) => x.slice([t, t + 1]).tanh());
      return concat(rows).square().sum();
    },
  }),
  'hessian of 256 numbers': () => ({
    input: source.normal([256]),
    run: (x) => grad((t) => grad(quartic)(t).sum())(x),
    gradient: hessian(quartic),
  }),
  'gradCheck of order 2, 8 x 8': () => ({
    input: source.normal([8, 8], { dtype: 'float64' }),
    run: (x) => grad((t) => grad((u) => u.matmul(u).tanh().sum())(t).sum())(x),
    gradient: (x) => {
      gradCheck((t) => t.matmul(t).tanh(), [x], { order: 2 });
      return x;
    },
  }),
  '20 layers of conv 3 x 3, [2, 32, 32, 16]': () => convStack(20),
  'the 20 layers, each in a checkpoint': () => convStack(20, checkpoint),
  '16 blocks 128 -> 512 -> 128, x [256, 128]': () => blockStack(16),
  'the 16 blocks, each in a checkpoint': () => blockStack(16, checkpoint),
};

const MIB = 2 ** 20;

function measured(run) {
  resetPeakMemory();
  const cpu = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(cpu);
  return { result, peak: memory().peakBytes, ms: (user + system) / 1000 };
}

function runOne(name) {
  setThreads(1);
  const { input, run, gradient = grad(run) } = workloads[name]();
  const forward = measured(() => scope(() => run(input)));
  const backward = measured(() => gradient(input));
  const own = tensorsOf(backward.result).reduce((bytes, t) => bytes + t.size * (t.dtype === 'float64' ? 8 : 4), 0);
  const again = measured(() => gradient(input));
  const first = measured(() => scope(() => run(input)));
  const { reservedBytes } = memory();
  console.log(JSON.stringify([forward.peak, backward.peak, own, reservedBytes, first.ms, again.ms]));
}

const TORCH = `
import resource, time
try:
    import torch
except ImportError:
    print('no torch here'); raise SystemExit
torch.set_num_threads(1)
lstm, x = torch.nn.LSTM(32, 512, batch_first=True), torch.randn(1, 600, 32)
def step():
    lstm.zero_grad(); lstm(x)[0].sum().backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
start = time.process_time(); step()
print(f'{peak / 1024:.0f} MB more at its peak, {(time.process_time() - start) * 1e3:.0f} ms (torch {torch.__version__})')
`;

function torch() {
  for (const python of [process.env.PYTHON ?? 'python3', '/usr/bin/python3']) {
    const { status, stdout } = spawnSync(python, ['-c', TORCH], { encoding: 'utf8' });
    if (status === 0 && !stdout.startsWith('no torch')) return stdout.trim();
  }
  return 'no torch here';
}

const [flag, name] = process.argv.slice(2);
if (flag === '--run') {
  runOne(name);
} else {
  console.log(`${machine()}; one thread; MB at the peak, processor time in ms`);
  const columns = ['forward', 'grad', 'gradients', 'grad / forward', 'reserved', 'forward ms', 'grad ms'];
  console.log(''.padEnd(44) + columns.map((column) => column.padStart(15)).join(''));
  for (const row of Object.keys(workloads).filter((key) => !flag || key.includes(flag))) {
    const out = execFileSync(process.execPath, [fileURLToPath(import.meta.url), '--run', row], { encoding: 'utf8' });
    const [forward, backward, own, reserved, forwardMs, gradMs] = JSON.parse(out);
    const cells = [
      ...[forward, backward, own].map((bytes) => (bytes / MIB).toFixed(1)),
      ((backward - own) / forward).toFixed(2), // the gradients themselves left out
      (reserved / MIB).toFixed(0),
      ...[forwardMs, gradMs].map((ms) => ms.toFixed(0)),
    ];
    console.log(row.padEnd(44) + cells.map((cell) => cell.padStart(15)).join(''));
  }
  console.log(`torch's LSTM 32 -> 512, x [1, 600, 32], one thread: ${torch()}`);
}
