// npm run bench -- ops [--json] [--quick] [--only f32,matmul,other,ctc,start]
// Single ops beside torch: processor time of one thread, taking turns, medians. In a scope inputs and results lie in the heap; outside they are ordinary tensors, of a result
// that nobody reads. torch computes without recording derivatives, and CTC with them. The last rows are what a process needs to start.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import * as tg from 'tapegrad';
import {
  describeTorch,
  machine,
  processorTimeOf,
  ratio,
  startTorch,
  summary,
  takeTurns,
  withBlas,
} from './harness.mjs';

const source = tg.random(1);
const SQUARE = [1000, 1000];
const KI64 = 2 ** 16;
const MI = 2 ** 20;

/** A row of an op of one tensor of that shape: ours as a function, torch's as an expression of x. */
const unary = (title, shape, ours, torch, make = () => source.normal(shape), made = `torch.randn(${shape})`) => ({
  title,
  ours: () => {
    const x = tg.clone(make());
    return () => ours(x);
  },
  torch: `x = ${made}\ndef run(): return ${torch}`,
});

const product = (n, dtype = 'float32') => ({
  title: `matmul ${n} x ${n}${dtype === 'float32' ? '' : `, ${dtype}`}`,
  isProduct: true,
  ours: () => {
    const [a, b] = [0, 1].map(() => source.normal([n, n]).cast(dtype));
    return () => a.matmul(b);
  },
  torch: `a, b = torch.randn(${n}, ${n}, dtype=torch.${dtype}), torch.randn(${n}, ${n}, dtype=torch.${dtype})\ndef run(): return a @ b`,
});

const float64 = () => source.normal([MI]).cast('float64');
const integers = (shape) => () => source.integers(shape, -1000, 1000);

/** T x N x C x S: from logits to the gradient by the logits. */
const ctc = (frames, batch, classes, labels, { peak = 1, note = '' } = {}) => ({
  title: `CTC ${frames}x${batch}x${classes}x${labels}${note}`,
  isLong: frames * batch * classes > 500_000,
  ours: () => {
    const targets = source.integers([batch, labels], 1, classes);
    const logits = scaledTowards(source.normal([frames, batch, classes]), targets.arraySync(), peak);
    const lengths = [frames, labels].map((length) => new Array(batch).fill(length));
    const step = tg.valueAndGrad((x) => tg.ctcLoss(x, targets, ...lengths, { from: 'logits', reduction: 'mean' }));
    return () => step(logits)[1];
  },
  torch: `
x = torch.randn(${frames}, ${batch}, ${classes})
targets = torch.randint(1, ${classes}, (${batch}, ${labels}))
for n in range(${batch}):
    for t in range(${frames} if ${peak} > 1 else 0):
        x[t, n, targets[n, t * ${labels} // ${frames}] if t * ${labels} % ${frames} < ${labels} else 0] += ${peak}
x.requires_grad_()
lengths = torch.full((${batch},), ${frames}), torch.full((${batch},), ${labels})
def run():
    with torch.enable_grad():
        x.grad = None
        F.ctc_loss(x.log_softmax(2), targets, *lengths).backward()
`,
});

/** Logits of a sure net: each label is `peak` higher than the rest in one frame, blank in the others. */
function scaledTowards(logits, targets, peak) {
  if (peak <= 1) return logits;
  const [frames, batch, classes] = logits.shape;
  const data = logits.dataSync();
  targets.forEach((labels, n) => {
    for (let t = 0; t < frames; t++) {
      const isLabel = (t * labels.length) % frames < labels.length;
      data[(t * batch + n) * classes + (isLabel ? labels[Math.floor((t * labels.length) / frames)] : 0)] += peak;
    }
  });
  return tg.tensor(data, { shape: logits.shape });
}

const GROUPS = {
  f32: [
    unary('add, 64 k', [KI64], (x) => x.add(x), 'x + x'),
    unary('add, 1 M', [MI], (x) => x.add(x), 'x + x'),
    unary('times a number, 1 M', [MI], (x) => x.mul(1.5), 'x * 1.5'),
    unary('exp, 64 k', [KI64], (x) => x.exp(), 'x.exp()'),
    unary('exp, 1 M', [MI], (x) => x.exp(), 'x.exp()'),
    unary('sigmoid, 1 M', [MI], (x) => x.sigmoid(), 'x.sigmoid()'),
    unary('gelu, 1 M', [MI], (x) => tg.gelu(x), 'F.gelu(x)'),
    unary('sum, 1 M', [MI], (x) => x.sum(), 'x.sum()'),
    unary('sum along axis 0, 1000 x 1000', SQUARE, (x) => x.sum(0), 'x.sum(0)'),
    unary('prod along axis 1, 1000 x 1000', SQUARE, (x) => x.prod(1), 'x.prod(1)'),
    unary('max along axis 0, 1000 x 1000', SQUARE, (x) => x.max(0), 'x.amax(0)'),
    unary('argmax along axis 0', SQUARE, (x) => x.argmax(0), 'x.argmax(0)'),
    unary('argmax along axis 1', SQUARE, (x) => x.argmax(1), 'x.argmax(1)'),
    unary('logSumExp along axis 0', SQUARE, (x) => x.logSumExp(0), 'x.logsumexp(0)'),
    unary('softmax along axis 0', SQUARE, (x) => x.softmax(0), 'x.softmax(0)'),
    unary('logSoftmax along axis 0', SQUARE, (x) => x.logSoftmax(0), 'x.log_softmax(0)'),
    unary('softmax along axis 1', SQUARE, (x) => x.softmax(1), 'x.softmax(1)'),
    unary('rfft, 1000 rows of 512', [1000, 512], (x) => x.rfft(), 'torch.fft.rfft(x)'),
    unary('sort along axis 1', SQUARE, (x) => x.sort(1), 'x.sort(dim=1, stable=True)'),
    unary('topk 5 along axis 1', SQUARE, (x) => x.topk(5).values, 'x.topk(5).values'),
    unary('cumprod along axis 1', SQUARE, (x) => x.cumprod(1), 'x.cumprod(1)'),
    unary('transpose, to be read', SQUARE, (x) => x.transpose(), 'x.t().contiguous()'),
    {
      title: 'gather along axis 1',
      ours: () => {
        const [x, at] = [source.normal(SQUARE), source.integers(SQUARE, 0, 1000)];
        return () => x.gather(at, 1);
      },
      torch: 'x, at = torch.randn(1000, 1000), torch.randint(0, 1000, (1000, 1000))\ndef run(): return x.gather(1, at)',
    },
    {
      title: 'stack of 200, [16, 256] each',
      ours: () => {
        const parts = Array.from({ length: 200 }, () => source.normal([16, 256]));
        return () => tg.stack(parts);
      },
      torch: 'parts = [torch.randn(16, 256) for _ in range(200)]\ndef run(): return torch.stack(parts)',
    },
  ],
  matmul: [
    ...[64, 256, 512, 1024].map((n) => product(n)),
    {
      title: 'linear 32 x 784 to 512',
      ours: () => {
        const layer = tg.nn.linear(784, 512);
        const [params, x] = [layer.init(source), source.normal([32, 784])];
        return () => layer.apply(params, x);
      },
      torch: 'm, x = torch.nn.Linear(784, 512), torch.randn(32, 784)\ndef run(): return m(x)',
    },
    {
      title: 'conv1d k5 128 to 128, T 1500',
      ours: () => {
        const layer = tg.nn.conv1d(128, 128, 5, { padding: 'same' });
        const [params, x] = [layer.init(source), source.normal([1, 1500, 128])];
        return () => layer.apply(params, x);
      },
      torch: 'm, x = torch.nn.Conv1d(128, 128, 5, padding="same"), torch.randn(1, 128, 1500)\ndef run(): return m(x)',
    },
    {
      title: 'conv1d k31 of 64 groups, T 100, batch 4',
      ours: () => {
        const layer = tg.nn.conv1d(64, 64, 31, { padding: 'same', groups: 64 });
        const [params, x] = [layer.init(source), source.normal([4, 100, 64])];
        return () => layer.apply(params, x);
      },
      torch:
        'm, x = torch.nn.Conv1d(64, 64, 31, padding="same", groups=64), torch.randn(4, 64, 100)\ndef run(): return m(x)',
    },
    {
      title: 'BiLSTM 128, T 200, batch 16',
      ours: () => {
        const layer = tg.nn.lstm(128, 128, { bidirectional: true });
        const [params, x] = [layer.init(source), source.normal([16, 200, 128])];
        return () => layer.apply(params, x);
      },
      torch:
        'm, x = torch.nn.LSTM(128, 128, batch_first=True, bidirectional=True), torch.randn(16, 200, 128)\ndef run(): return m(x)',
    },
  ],
  other: [
    product(256, 'float64'),
    ...Object.entries({
      add: [(x) => x.add(x), 'x + x'],
      exp: [(x) => x.exp(), 'x.exp()'],
      log1p: [(x) => x.log1p(), 'x.log1p()'],
      tanh: [(x) => x.tanh(), 'x.tanh()'],
      sigmoid: [(x) => x.sigmoid(), 'x.sigmoid()'],
    }).map(([title, [ours, torch]]) =>
      unary(`${title}, 1 M, float64`, [MI], ours, torch, float64, `torch.randn(${MI}).double()`),
    ),
    ...Object.entries({
      sum: ['sum', 'sum'],
      'sum along axis 0': ['sum', 'sum', 0],
      'prod along axis 1': ['prod', 'prod', 1],
      'max along axis 0': ['max', 'amax', 0],
      'max along axis 1': ['max', 'amax', 1],
      'variance along axis 1': ['variance', 'var', 1],
      'cumsum along axis 1': ['cumsum', 'cumsum', 1],
      'logSumExp along axis 1': ['logSumExp', 'logsumexp', 1],
      'softmax along axis 0': ['softmax', 'softmax', 0],
      'softmax along axis 1': ['softmax', 'softmax', 1],
    }).map(([title, [ours, torch, ...axis]]) =>
      unary(
        `${title}, float64`,
        SQUARE,
        (x) => x[ours](...axis),
        `x.${torch}(${axis.join()})`,
        () => source.normal(SQUARE).cast('float64'),
        'torch.randn(1000, 1000).double()',
      ),
    ),
    unary(
      'transpose, float64',
      SQUARE,
      (x) => x.transpose(),
      'x.t().contiguous()',
      () => source.normal(SQUARE).cast('float64'),
      'torch.randn(1000, 1000).double()',
    ),
    unary(
      'add, 1 M, int32',
      [MI],
      (x) => x.add(x),
      'x + x',
      integers([MI]),
      `torch.randint(-1000, 1000, (${MI},)).int()`,
    ),
    unary(
      'sum along axis 1, int32',
      SQUARE,
      (x) => x.sum(1),
      'x.sum(1)',
      integers(SQUARE),
      'torch.randint(-1000, 1000, (1000, 1000)).int()',
    ),
    unary(
      'max along axis 0, int32',
      SQUARE,
      (x) => x.max(0),
      'x.amax(0)',
      integers(SQUARE),
      'torch.randint(-1000, 1000, (1000, 1000)).int()',
    ),
    unary(
      'max along axis 1, int32',
      SQUARE,
      (x) => x.max(1),
      'x.amax(1)',
      integers(SQUARE),
      'torch.randint(-1000, 1000, (1000, 1000)).int()',
    ),
    ...['sum', 'any', 'all'].map((name) =>
      unary(
        `${name}, 1 M, bool`,
        [MI],
        (x) => x[name](),
        `x.${name}()`,
        () => source.normal([MI]).greater(0),
        `torch.randn(${MI}) > 0`,
      ),
    ),
    unary(
      'less than a number, 1 M, int32',
      [MI],
      (x) => x.less(5),
      'x < 5',
      integers([MI]),
      `torch.randint(-1000, 1000, (${MI},)).int()`,
    ),
    unary(
      'logicalNot, 1 M',
      [MI],
      (x) => tg.logicalNot(x),
      'x.logical_not()',
      () => source.normal([MI]).greater(0),
      `torch.randn(${MI}) > 0`,
    ),
    unary('cast to bfloat16, 1 M', [MI], (x) => x.cast('bfloat16'), 'x.bfloat16()'),
    unary('cast to int32, 1 M', [MI], (x) => x.cast('int32'), 'x.int()'),
    unary('cast to float64, 1 M', [MI], (x) => x.cast('float64'), 'x.double()'),
    unary('cast to float16, 1 M', [MI], (x) => x.cast('float16'), 'x.half()'),
    unary(
      'cast from float16, 1 M',
      [MI],
      (x) => x.cast('float32'),
      'x.float()',
      () => source.normal([MI]).cast('float16'),
      `torch.randn(${MI}).half()`,
    ),
  ],
  ctc: [
    ctc(500, 8, 5000, 64),
    ctc(200, 8, 32000, 64),
    ctc(20000, 1, 32, 200, { note: ', noise' }),
    ctc(256, 16, 32, 40),
    ctc(256, 16, 32, 40, { peak: 40, note: ', a sure net' }),
    ctc(2000, 1, 32, 160),
  ],
};

/** Milliseconds of processor time that a fresh process spends on a program: it prints them. */
function fresh(program) {
  const index = new URL('../dist/index.js', import.meta.url).href;
  const text = `const start = process.cpuUsage();
const tg = await import(${JSON.stringify(index)});
${program}
const { user, system } = process.cpuUsage(start);
console.log((user + system) / 1000);`;
  return Number(spawnSync(process.execPath, ['--input-type=module', '-e', text], { encoding: 'utf8' }).stdout);
}

const STARTS = {
  import: '',
  'import, and the first 50 CTC calls of 200x16x32x40': `
tg.setThreads(1);
const source = tg.random(1);
const [x, targets] = [source.normal([200, 16, 32]), source.integers([16, 40], 1, 32)];
const step = tg.valueAndGrad((logits) => tg.ctcLoss(logits, targets, { from: 'logits', reduction: 'mean' }));
for (let i = 0; i < 50; i++) step(x);`,
};

/** Milliseconds of one call, each in a scope, on inputs that lie in the heap: an outer scope has computed them. */
const inHeap = (ours, count) =>
  tg.scope(() => {
    const run = ours();
    tg.scope(() => void run());
    const start = process.cpuUsage();
    for (let i = 0; i < count; i++) tg.scope(() => void run());
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000 / count;
  });

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } },
});
const chosen = options.only?.split(',') ?? [...Object.keys(GROUPS), 'start'];
const torch = await startTorch();
tg.setThreads(1);
const rows = [];
if (!options.json) {
  console.log(`${machine()}, one thread; ${describeTorch(torch)}`);
  console.log('milliseconds of processor time, medians (best to worst); ratios are medians of each round’s own');
  console.log(
    [
      'op'.padEnd(34),
      'in a scope'.padEnd(26),
      'to torch',
      'outside'.padEnd(26),
      'to torch',
      'outside to inside',
      'torch',
    ].join('  '),
  );
}
const cell = (times) => (times ? `${short(times.median)} (${short(times.best)} to ${short(times.worst)})` : '-');
const short = (time) => (time < 10 ? time.toFixed(3) : time.toFixed(1));
const factor = (value) => (value === undefined ? '-' : `${value.toFixed(2)}x`);

for (const [group, list] of Object.entries(GROUPS)) {
  if (!chosen.includes(group)) continue;
  for (const { title, ours, torch: setup, isLong, isProduct = group === 'matmul' } of list) {
    await torch?.prepare(`torch.set_grad_enabled(False)\n${setup}`);
    const run = ours();
    const turns = isLong
      ? { rounds: options.quick ? 2 : 5, roundMs: 1, warmUpMs: 1 }
      : { rounds: options.quick ? 3 : 9, roundMs: options.quick ? 10 : 40, warmUpMs: options.quick ? 30 : 200 };
    const inside = () => tg.scope(() => void run());
    const blas = isProduct ? await withBlas(inside) : null;
    const times = await takeTurns(
      {
        inside: (count) => (isLong ? processorTimeOf(inside, count) : inHeap(ours, count)),
        outside: (count) => processorTimeOf(run, count),
        ...(blas && { blas }),
        ...(torch && { torch: (count) => torch.time(count) }),
      },
      turns,
    );
    const row = {
      group,
      title,
      milliseconds: Object.fromEntries(Object.entries(times).map(([name, found]) => [name, summary(found)])),
      ratios: {
        outside: ratio(times.outside, times.inside),
        ...(torch && {
          insideToTorch: ratio(times.inside, times.torch),
          outsideToTorch: ratio(times.outside, times.torch),
          ...(blas && { blasToTorch: ratio(times.blas, times.torch) }),
        }),
      },
    };
    rows.push(row);
    if (options.json) continue;
    const { milliseconds, ratios } = row;
    if (blas)
      console.log(
        `${`${title}, BLAS`.padEnd(34)}  ${cell(milliseconds.blas).padEnd(26)}  ${factor(ratios.blasToTorch)}`,
      );
    console.log(
      [
        title.padEnd(34),
        cell(milliseconds.inside).padEnd(26),
        factor(ratios.insideToTorch).padEnd(8),
        cell(milliseconds.outside).padEnd(26),
        factor(ratios.outsideToTorch).padEnd(8),
        factor(ratios.outside).padEnd(17),
        cell(milliseconds.torch),
      ].join('  '),
    );
  }
}
torch?.stop();
if (chosen.includes('start')) {
  for (const [title, program] of Object.entries(STARTS)) {
    const found = summary(Array.from({ length: options.quick ? 3 : 7 }, () => fresh(program)));
    rows.push({ group: 'start', title, milliseconds: { process: found }, ratios: {} });
    if (!options.json) console.log(`${title}: ${cell(found)}`);
  }
}
if (options.json)
  console.log(
    JSON.stringify(
      {
        machine: machine(),
        torch: torch && { version: torch.version, instructions: torch.instructions, blas: torch.blas },
        rows,
      },
      null,
      1,
    ),
  );
