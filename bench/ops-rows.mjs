// The rows of ops.mjs: each op as a function that makes its inputs and gives what is timed, beside the same in torch.
import * as tg from 'tapegrad';

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

/** The rows, by groups that `--only` names. */
export const GROUPS = {
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
      sin: [(x) => x.sin(), 'x.sin()'],
      'powers of 3': [(x) => tg.pow(3, x), 'torch.pow(3.0, x)'],
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
