// The models of `bench -- steps` and `-- steps-webgpu`, each as a function of a source of randomness and sizes that gives parameters and a loss of them.
// bench/yardsticks/torch_steps.py has the same in torch.
import { ctcLoss, gelu, maxPool2d, nn, relu, tensor } from 'tapegrad';
import { model as digitsModel } from '../examples/digits/model.mjs';

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

export const MODELS = [
  { title: 'digits model, batch 16, 192 columns, 6 labels', make: digits, sizes: [16, 192, 6] },
  { title: 'speech conv, 5 x 1200 frames, 4 conv1d k5 128', make: speech, sizes: [5, 1200, 80, 32, 100] },
  { title: 'CRNN, 2 BiLSTM 128, T 64, batch 16', make: crnn, sizes: [16, 256, 32, 80, 20] },
  { title: 'transformer d 128, T 128, batch 8, 2 blocks', make: transformer, sizes: [8, 128, 128, 4, 2, 256] },
  { title: 'MLP 784-512-512-10, batch 32', make: mlp, sizes: [32] },
];
