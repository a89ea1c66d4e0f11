import { nn, optim, random, tensor, type Tensor, zeros } from 'tapegrad';
import { floats, type Place, TENSORS } from './arguments.junk.js';
import type { Row } from './arguments.rows.js';

const options: Place = [{}, 'options'];
const rng: Place = [random(1), 'random'];
const image = zeros([1, 4, 4, 2]);

const model = nn.sequential(nn.linear(3, 3));
const params = model.init(random(1));
const layers: Readonly<Record<string, readonly [nn.Layer<never>, Tensor]>> = {
  linear: [nn.linear(3, 2) as never, floats],
  batchNorm: [nn.batchNorm(3) as never, floats],
  conv1d: [nn.conv1d(2, 3, 3) as never, zeros([1, 5, 2])],
  conv2d: [nn.conv2d(2, 3, 3) as never, image],
  convTranspose1d: [nn.convTranspose1d(2, 3, 3) as never, zeros([1, 5, 2])],
  convTranspose2d: [nn.convTranspose2d(2, 3, 3) as never, image],
  adaptiveAvgPool1d: [nn.adaptiveAvgPool1d(2) as never, zeros([1, 5, 2])],
  adaptiveAvgPool2d: [nn.adaptiveAvgPool2d(2) as never, image],
  avgPool1d: [nn.avgPool1d(2) as never, zeros([1, 5, 2])],
  avgPool2d: [nn.avgPool2d(2) as never, image],
  globalAvgPool: [nn.globalAvgPool() as never, image],
  globalMaxPool: [nn.globalMaxPool() as never, image],
  maxPool1d: [nn.maxPool1d(2) as never, zeros([1, 5, 2])],
  maxPool2d: [nn.maxPool2d(2) as never, image],
  dropout: [nn.dropout(0.5) as never, floats],
  embedding: [nn.embedding(4, 2) as never, tensor([0, 1], { dtype: 'int32' })],
  group: [nn.group({ inner: nn.linear(3, 2) }) as never, floats],
  groupNorm: [nn.groupNorm(3, 3) as never, floats],
  gru: [nn.gru(2, 3) as never, zeros([1, 4, 2])],
  layerNorm: [nn.layerNorm(3) as never, floats],
  lstm: [nn.lstm(2, 3) as never, zeros([1, 4, 2])],
  multiHeadAttention: [nn.multiHeadAttention(4, 2) as never, zeros([1, 3, 4])],
  residual: [nn.residual(nn.linear(3, 3)) as never, floats],
  rmsNorm: [nn.rmsNorm(3) as never, floats],
  sequential: [model as never, floats],
};
const makers: Readonly<Record<keyof typeof nn, readonly Place[]>> = {
  linear: [[3, 'size', 'huge'], [2, 'size', 'huge'], options],
  batchNorm: [[3, 'size', 'huge'], options],
  conv1d: [[2, 'size', 'huge'], [3, 'size', 'huge'], [3, 'size', 'huge'], options],
  conv2d: [[2, 'size', 'huge'], [3, 'size', 'huge'], [3, 'size', 'huge'], options],
  convTranspose1d: [[2, 'size', 'huge'], [3, 'size', 'huge'], [3, 'size', 'huge'], options],
  convTranspose2d: [[2, 'size', 'huge'], [3, 'size', 'huge'], [3, 'size', 'huge'], options],
  adaptiveAvgPool1d: [[2, 'size']],
  adaptiveAvgPool2d: [[2, 'size']],
  avgPool1d: [[2, 'size'], options],
  avgPool2d: [[2, 'size'], options],
  globalAvgPool: [],
  globalMaxPool: [],
  maxPool1d: [[2, 'size'], options],
  maxPool2d: [[2, 'size'], options],
  dropout: [[0.5, 'size', 'fraction']],
  embedding: [
    [4, 'size', 'huge'],
    [2, 'size', 'huge'],
  ],
  gru: [[2, 'size', 'huge'], [3, 'size', 'huge'], options],
  layerNorm: [[3, 'size', 'huge'], options],
  lstm: [[2, 'size', 'huge'], [3, 'size', 'huge'], options],
  group: [[{ inner: nn.linear(3, 3) }, 'order', 'object', 'bare'], [undefined, 'function', 'undefined'], options],
  multiHeadAttention: [[4, 'size', 'huge'], [2, 'size'], options],
  residual: [[nn.linear(3, 3), 'function'], options],
  rmsNorm: [[3, 'size', 'huge'], options],
  groupNorm: [[1, 'size'], [3, 'size', 'huge'], options],
  sequential: [[nn.linear(3, 3), 'function']],
  summary: [[model, 'tree'], [[2, 3], 'order'], options],
};
const optimizers = {
  sgd: optim.sgd({ learningRate: 0.1, momentum: 0.9 }),
  adam: optim.adam({ learningRate: 0.1 }),
  adamw: optim.adamw({ learningRate: 0.1 }),
};
const plateau = optim.plateau();
const ema = optim.ema({ decay: 0.9 });

const layerTags = Object.keys(makers);
type Functions = Readonly<Record<string, (...given: unknown[]) => unknown>>;

/** The rows of layers and optimizers: see arguments.rows.ts. */
export const LAYER_ROWS: Readonly<Record<string, Row>> = {
  ...Object.fromEntries(
    Object.entries(makers).map(([name, places]) => [
      `nn.${name}`,
      { call: (nn as unknown as Functions)[name]!, places, tags: name === 'summary' ? [name, 'linear'] : [name] },
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(layers).flatMap(([name, [layer, input]]): [string, Row][] => [
      [
        `nn.${name}.init`,
        { call: (...g) => (layer as never as Functions).init!(...g), places: [rng, options], tags: layerTags },
      ],
      [
        `nn.${name}.apply`,
        {
          call: (...g) => (layer as never as Functions).apply!(...g),
          places: [
            [layer.init(random(1)), layer.init(random(1)) === null ? 'any' : 'order'],
            [input, 'tensor'],
            'initState' in layer ? [{ state: (layer as never as Functions).initState!() }, 'order'] : options,
          ],
          tags: layerTags,
        },
      ],
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(optimizers).flatMap(([name, optimizer]): [string, Row][] => [
      [
        `optim.${name}`,
        { call: (optim as unknown as Functions)[name]!, places: [[{ learningRate: 1 }, 'order']], tags: [name] },
      ],
      [
        `optim.${name}.init`,
        { call: (...g) => optimizer.init(...(g as [never])), places: [[params, 'tree']], tags: [name] },
      ],
      [
        `optim.${name}.update`,
        {
          call: (...g) => (optimizer as unknown as Functions).update!(...g),
          places: [[params, 'order'], [params, 'order'], [optimizer.init(params), 'order'], options],
          tags: [name],
        },
      ],
      [
        `optim.${name}.learningRate`,
        {
          call: (...g) => (optimizer as unknown as Functions).learningRate!(...g),
          places: [[optimizer.init(params), 'order'], options],
          tags: [name],
        },
      ],
    ]),
  ),
  'optim.clipByGlobalNorm': {
    call: (...g) => optim.clipByGlobalNorm(...(g as [never, never])),
    places: [
      [[floats], 'order', ...TENSORS],
      [1, 'positive'],
    ],
  },
  'optim.cosine': {
    call: (...g) => optim.cosine(...(g as [never, never])),
    places: [
      [1, 'positive'],
      [10, 'count'],
      [0, 'positive', 'undefined'],
    ],
  },
  'optim.linear': {
    call: (...g) => optim.linear(...(g as [never, never])),
    places: [
      [1, 'positive'],
      [10, 'count'],
      [0, 'positive', 'undefined'],
    ],
  },
  'optim.step': {
    call: (...g) => optim.step(...(g as [never, never])),
    places: [
      [1, 'positive'],
      [10, 'count', 'list'],
      [0.1, 'positive', 'undefined'],
    ],
  },
  'optim.oneCycle': {
    call: (...g) => optim.oneCycle(...(g as [never, never])),
    places: [[1, 'positive'], [10, 'count'], options],
  },
  'optim.plateau': { call: (...g) => optim.plateau(...(g as [never])), places: [options] },
  'optim.plateau.init': { call: () => plateau.init(), places: [] },
  'optim.plateau.update': {
    call: (...g) => plateau.update(...(g as [never, never])),
    places: [
      [plateau.init(), 'order'],
      [1, 'value'],
    ],
    tags: ['plateau'],
  },
  'optim.ema': { call: (...g) => optim.ema(...(g as [never])), places: [[{ decay: 0.9 }, 'order']] },
  'optim.ema.init': { call: (...g) => ema.init(...(g as [never])), places: [[params, 'tree']], tags: ['ema'] },
  'optim.ema.update': {
    call: (...g) => ema.update(...(g as [never, never])),
    places: [
      [ema.init(params), 'order'],
      [params, 'order'],
    ],
    tags: ['ema'],
  },
  'optim.accumulate': {
    call: (...g) => optim.accumulate(...(g as [never, never])),
    places: [
      [optim.accumulate(null, params), 'order', 'null'],
      [params, 'order'],
      [1, 'number', 'undefined'],
    ],
  },
  'optim.warmup': {
    call: (...g) => optim.warmup(...(g as [never, never])),
    places: [
      [10, 'count'],
      [(step: number) => step, 'function'],
    ],
  },
};
