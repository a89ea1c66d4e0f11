// npm run bench -- steps [--json] [--quick] [--only mlp,digits]
// Whole training steps, forward, loss, backward and AdamW, beside torch: processor time of one thread, taking turns, medians with their spread. The models
// are bench/yardsticks/torch_steps.py's, of the same shapes. Data are random; both sides draw their own. With BLAS is in a scope, too.
import { parseArgs } from 'node:util';
import { ctcLoss, gelu, maxPool2d, nn, optim, random, relu, scope, setThreads, tensor, valueAndGrad } from 'tapegrad';
import { model as digitsModel } from '../examples/digits/model.mjs';
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

const same = { padding: 'same' };
const framesFirst = (x) => x.permute([1, 0, 2]);

/** A loss of a model's parameters. */
function ctc(model, source, x, frames, classes, labels) {
  const targets = source.integers([x.shape[0], labels], 1, classes);
  const inputLengths = new Array(x.shape[0]).fill(frames);
  const targetLengths = new Array(x.shape[0]).fill(labels);
  return (params) =>
    ctcLoss(model.apply(params, x), targets, inputLengths, targetLengths, { from: 'logits', reduction: 'mean' });
}

const crossEntropy = (logits, targets) => logits.logSoftmax().gather(targets.expandDims(-1), -1).mean().neg();

function digits(source, [batch, width, labels]) {
  return [
    digitsModel.init(source),
    ctc(digitsModel, source, source.normal([batch, width, 28, 1]), width / 4, 11, labels),
  ];
}

function speech(source, [batch, frames, mels, classes, labels]) {
  const model = nn.sequential(
    ...[mels, 128, 128, 128].flatMap((features) => [nn.conv1d(features, 128, 5, same), relu]),
    nn.linear(128, classes),
    framesFirst,
  );
  return [model.init(source), ctc(model, source, source.normal([batch, frames, mels]), frames, classes, labels)];
}

function crnn(source, [batch, width, height, classes, labels]) {
  const features = (height / 4) * 32;
  const model = nn.sequential(
    ...[nn.conv2d(1, 16, 3, same), relu, (x) => maxPool2d(x, 2)],
    ...[nn.conv2d(16, 32, 3, same), relu, (x) => maxPool2d(x, 2)],
    (x) => x.reshape([x.shape[0], x.shape[1], features]),
    nn.lstm(features, 128, { bidirectional: true }),
    nn.lstm(256, 128, { bidirectional: true }),
    nn.linear(256, classes),
    framesFirst,
  );
  return [model.init(source), ctc(model, source, source.normal([batch, width, height, 1]), width / 4, classes, labels)];
}

function transformer(source, [batch, length, features, heads, blocks, vocabulary]) {
  const size = features / heads;
  const layers = {
    norm: nn.layerNorm(features),
    qkv: nn.linear(features, 3 * features),
    mixed: nn.linear(features, features),
    up: nn.linear(features, 4 * features),
    down: nn.linear(4 * features, features),
    tokens: nn.embedding(vocabulary, features),
    out: nn.linear(features, vocabulary),
  };
  const mask = tensor(
    Float32Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? -1e9 : 0)),
    { shape: [length, length] },
  );
  const block = (p, x) => {
    const split = layers.qkv.apply(p.qkv, layers.norm.apply(p.before, x)).reshape([batch, length, 3, heads, size]);
    const [q, k, v] = split.permute([2, 0, 3, 1, 4]);
    const shares = q
      .matmul(k.permute([0, 1, 3, 2]))
      .mul(size ** -0.5)
      .add(mask)
      .softmax();
    const mixed = shares.matmul(v).permute([0, 2, 1, 3]).reshape([batch, length, features]);
    const y = x.add(layers.mixed.apply(p.mixed, mixed));
    return y.add(layers.down.apply(p.down, gelu(layers.up.apply(p.up, layers.norm.apply(p.between, y)))));
  };
  const params = {
    tokens: layers.tokens.init(source),
    positions: source.normal([length, features]),
    blocks: Array.from({ length: blocks }, () => ({
      before: layers.norm.init(source),
      between: layers.norm.init(source),
      ...Object.fromEntries(['qkv', 'mixed', 'up', 'down'].map((name) => [name, layers[name].init(source)])),
    })),
    norm: layers.norm.init(source),
    out: layers.out.init(source),
  };
  const [tokens, targets] = [0, 1].map(() => source.integers([batch, length], 0, vocabulary));
  const loss = (p) => {
    const embedded = layers.tokens.apply(p.tokens, tokens).add(p.positions);
    const read = p.blocks.reduce((x, own) => block(own, x), embedded);
    return crossEntropy(layers.out.apply(p.out, layers.norm.apply(p.norm, read)), targets);
  };
  return [params, loss];
}

function mlp(source, [batch]) {
  const model = nn.sequential(nn.linear(784, 512), relu, nn.linear(512, 512), relu, nn.linear(512, 10));
  const [x, targets] = [source.normal([batch, 784]), source.integers([batch], 0, 10)];
  return [model.init(source), (params) => crossEntropy(model.apply(params, x), targets)];
}

const MODELS = [
  { title: 'digits model, batch 16, 192 columns, 6 labels', make: digits, sizes: [16, 192, 6] },
  { title: 'speech conv, 5 x 1200 frames, 4 conv1d k5 128', make: speech, sizes: [5, 1200, 80, 32, 100] },
  { title: 'CRNN, 2 BiLSTM 128, T 64, batch 16', make: crnn, sizes: [16, 256, 32, 80, 20] },
  { title: 'transformer d 128, T 128, batch 8, 2 blocks', make: transformer, sizes: [8, 128, 128, 4, 2, 256] },
  { title: 'MLP 784-512-512-10, batch 32', make: mlp, sizes: [32] },
];

/** A step that goes on from where the last one ended, in a scope or not. */
function stepOf([start, loss], inScope) {
  const optimizer = optim.adamw({ learningRate: 1e-3 });
  const differentiate = valueAndGrad(loss);
  let made = { params: start, state: optimizer.init(start) };
  const step = () => {
    const [value, gradients] = differentiate(made.params);
    return { ...optimizer.update(made.params, gradients, made.state), value: value.itemSync() };
  };
  return () => {
    made = inScope ? scope(step) : step();
    return made.value;
  };
}

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } },
});
const chosen = options.only?.split(',');
const turns = options.quick ? { rounds: 3, roundMs: 30 } : { rounds: 9, roundMs: 120 };
const torch = await startTorch();
setThreads(1);
const rows = [];
if (!options.json) {
  console.log(`${machine()}, one thread; ${describeTorch(torch)}`);
  console.log('milliseconds of processor time: median (best to worst); ratios are medians of each round’s own');
}
for (const { title, make, sizes } of MODELS) {
  if (chosen && !chosen.includes(make.name)) continue;
  await torch?.prepare(`from torch_steps import ${make.name}\nrun = ${make.name}(${sizes.join(', ')})`);
  const [inside, outside] = [true, false].map((inScope) => stepOf(make(random(1), sizes), inScope));
  const blas = await withBlas(inside);
  const times = await takeTurns(
    {
      'in a scope': (count) => processorTimeOf(inside, count),
      outside: (count) => processorTimeOf(outside, count),
      ...(blas && { 'with BLAS': blas }),
      ...(torch && { torch: (count) => torch.time(count) }),
    },
    turns,
  );
  const ratios = torch
    ? Object.fromEntries(Object.entries(times).map(([name, list]) => [name, ratio(list, times.torch)]))
    : {};
  rows.push({
    name: make.name,
    title,
    milliseconds: Object.fromEntries(Object.entries(times).map(([name, list]) => [name, summary(list)])),
    ratios,
  });
  if (options.json) continue;
  console.log(title);
  for (const [name, { median, best, worst }] of Object.entries(rows.at(-1).milliseconds)) {
    const beside = ratios[name] === undefined || name === 'torch' ? '' : `  ${ratios[name].toFixed(2)}x torch`;
    console.log(`  ${name.padEnd(12)} ${median.toFixed(2)} (${best.toFixed(2)} to ${worst.toFixed(2)})${beside}`);
  }
}
torch?.stop();
if (options.json)
  console.log(
    JSON.stringify({ machine: machine(), torch: torch && { version: torch.version, blas: torch.blas }, rows }, null, 1),
  );
