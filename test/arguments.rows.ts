import * as tapegrad from 'tapegrad';
import { nn, optim, random, scope, tensor, type Tensor, zeros } from 'tapegrad';
import { FakeGpu } from './gpu/fake.js';

/**
 * One row for every function, method, layer and optimizer of the package: a call that is right, and for each place what else may stand there.
 * test/arguments.test.ts puts everything in JUNK into every place.
 */

const floats = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
const ints = tensor(1, { dtype: 'int32' });
const empty = zeros([0]);

/** Escaped from its scope. */
let dead = empty;
scope(() => {
  dead = floats.add(1);
});
/** A list that holds itself, and one that goes very deep. */
const round: unknown[] = [];
round.push(round);
const roundObject: Record<string, unknown> = {};
roundObject.self = roundObject;
const deep = Array.from({ length: 10_000 }).reduce<unknown>((inner) => [inner], 1);

/** What callers without types hand over. */
export const JUNK: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  NaN: NaN,
  negative: -1,
  fraction: 0.5,
  huge: 1e12,
  infinity: Infinity,
  yes: true,
  no: false,
  text: 'x',
  'no text': '',
  number: '2',
  symbol: Symbol('s'),
  bigint: 3n,
  function: () => 1,
  object: {},
  bare: Object.create(null) as object,
  foreign: { dim: 0, keepdim: true, lr: 1, weight_decay: 1, bias_init: 0 },
  list: [],
  holes: [undefined, null],
  nested: [[1], [2]],
  texts: ['a'],
  fractions: [0.5, NaN],
  negatives: [-1, -2],
  ints,
  floats,
  empty,
  map: new Map([['axis', 0]]),
  date: new Date(0),
  regexp: /x/,
  promise: Promise.resolve(1),
  bytes: new DataView(new ArrayBuffer(8)),
  array: new Float32Array(2),
  random: random(1),
  dead,
  elsewhere: tensor([[1, 2, 3]], { device: new FakeGpu() }),
  'rank 5': zeros([1, 1, 2, 1, 1]),
  truths: tensor([[true, false, true]]),
  'not a number': tensor([[NaN, Infinity, -1]]),
  round,
  'round object': roundObject,
  deep,
  'a hole': new Array(1),
  'one and a hole': Object.assign(new Array<unknown>(2), { 0: 0 }),
  'a hole and one': Object.assign(new Array<unknown>(2), { 1: 1 }),
  'long list': new Array(100_000).fill(0.5),
  'long text': 'y'.repeat(100_000),
  bigints: [1n, 2n],
  'big array': new BigInt64Array([1n, -2n]),
  ragged: [[1, 2], [3]],
  boxed: new Number(1),
  'like an array': { length: 1, 0: 1 },
  class: class Klass {},
  set: new Set([1]),
  error: new Error('e'),
};

/** What a place takes beside the value of its row. Whatever is not named here must be refused. */
const everything = Object.keys(JUNK);
const TENSORS = ['ints', 'floats', 'empty', 'elsewhere', 'rank 5', 'truths', 'not a number'];
const DATA = [
  'NaN',
  'negative',
  'fraction',
  'huge',
  'infinity',
  'yes',
  'no',
  'list',
  'nested',
  'fractions',
  'negatives',
  'array',
  'long list',
  'big array',
  ...TENSORS,
];
const KINDS = {
  any: everything,
  tensor: TENSORS,
  data: DATA,
  indices: ['negative', 'yes', 'no', 'list', 'negatives', 'array', 'big array', ...TENSORS, 'nested'],
  axis: ['negative', 'undefined'],
  axes: ['negative', 'undefined', 'list', 'negatives'],
  options: ['undefined', 'object', 'bare'],
  shape: ['list'],
  order: [],
  number: ['negative', 'fraction', 'huge'],
  value: ['NaN', 'negative', 'fraction', 'huge', 'infinity'],
  positive: ['fraction', 'huge', 'infinity'],
  limit: ['undefined', 'infinity', 'huge'],
  size: [],
  count: ['huge'],
  function: ['function'],
  dtype: [],
  device: [],
  random: ['random'],
  tree: everything,
  tensors: [],
  optional: ['undefined'],
  range: ['undefined', 'null', 'negative', 'list', 'negatives', 'holes', 'a hole', 'one and a hole', 'a hole and one'],
} satisfies Record<string, readonly string[]>;
export type Kind = keyof typeof KINDS;

/** A place of a call: the right value and the kind of others; and names of JUNK that this place takes as well. */
export type Place = readonly [value: unknown, kind: Kind, ...more: string[]];

export interface Row {
  readonly call: (...given: unknown[]) => unknown;
  readonly places: readonly Place[];
  /** Names that errors may be tagged with; the export's own name when left out. */
  readonly tags?: readonly string[];
}

export const takes = ([, kind, ...more]: Place): ReadonlySet<string> => new Set([...KINDS[kind], ...more]);

const x: Place = [floats, 'tensor'];
const data: Place = [floats, 'data'];
const options: Place = [{}, 'options'];
const axis: Place = [0, 'axis'];
const axes: Place = [0, 'axes'];
const rng: Place = [random(1), 'random'];
const image = zeros([1, 4, 4, 2]);
const truth = tensor([[true], [false]]);
const square = (t: Tensor): Tensor => t.square().sum();
const scores = zeros([4, 1, 3]);
const ARPA = '\\data\\\nngram 1=1\n\\1-grams:\n-1 a\n\\end\\\n';

/** The functions of src/ops and src/tensor. Where there is a method of the name, its row follows: the first place is `this`. */
const functions: Readonly<Record<string, readonly Place[]>> = {
  ...Object.fromEntries(
    [
      'abs',
      'cos',
      'erf',
      'exp',
      'expm1',
      'floor',
      'gelu',
      'isFinite',
      'isNaN',
      'log',
      'log1p',
      'neg',
      'reciprocal',
      'relu',
      'rsqrt',
    ]
      .concat(['sigmoid', 'sinh', 'cosh', 'sign', 'silu', 'sin', 'softplus', 'sqrt', 'square', 'step', 'tanh'])
      .concat(['tan', 'asin', 'acos', 'atan'])
      .map((name) => [name, [data]]),
  ),
  ...Object.fromEntries(
    [
      'add',
      'sub',
      'mul',
      'div',
      'pow',
      'maximum',
      'minimum',
      'equal',
      'notEqual',
      'less',
      'lessEqual',
      'greater',
      'greaterEqual',
    ].map((name) => [name, [data, data]]),
  ),
  logicalNot: [[truth, 'data']],
  logicalAnd: [
    [truth, 'data'],
    [truth, 'data'],
  ],
  logicalOr: [
    [truth, 'data'],
    [truth, 'data'],
  ],
  where: [[truth, 'data'], data, data],
  clip: [data, [-1, 'data', 'undefined'], [1, 'data', 'undefined']],
  ...Object.fromEntries(
    ['sum', 'mean', 'max', 'min', 'prod', 'logSumExp', 'variance', 'norm'].map((name) => [name, [x, axes, options]]),
  ),
  argmax: [x, axis, options],
  argmin: [x, axis, options],
  cumsum: [x, axis, options],
  softmax: [x, axis],
  logSoftmax: [x, axis],
  reshape: [x, [[3, 2], 'shape']],
  broadcastTo: [x, [[2, 2, 3], 'shape']],
  flatten: [x, [0, 'axis'], [1, 'axis']],
  squeeze: [
    [zeros([1, 2]), 'tensor'],
    [0, 'axes'],
  ],
  expandDims: [x, [0, 'order', 'negative']],
  transpose: [x, axis, [1, 'axis']],
  permute: [x, [[1, 0], 'order', 'negatives']],
  slice: [x, [[0, 1], 'range'], [1, 'range']],
  split: [x, [1, 'size'], axis],
  pad: [
    x,
    [
      [
        [1, 1],
        [0, 0],
      ],
      'order',
      'nested',
    ],
    options,
  ],
  flip: [x, axes],
  clone: [x],
  concat: [[[floats, floats], 'tensors'], axis],
  stack: [[[floats, floats], 'tensors'], axis],
  take: [x, [[0, 1], 'indices'], axis],
  gather: [x, [[[0, 1, 2]], 'indices'], [0, 'order', 'negative']],
  scatterAdd: [x, [[[0, 1, 0]], 'indices'], [zeros([1, 3]), 'tensor'], [0, 'order', 'negative']],
  oneHot: [[tensor([0, 1], { dtype: 'int32' }), 'indices', 'nested'], [3, 'size'], options],
  embedding: [x, [[0, 1], 'indices']],
  matmul: [x, [zeros([3, 2]), 'tensor']],
  linear: [x, [zeros([5, 3]), 'tensor']],
  conv1d: [[zeros([1, 5, 2]), 'tensor'], [zeros([3, 3, 2]), 'tensor'], options],
  conv2d: [[image, 'tensor'], [zeros([3, 3, 3, 2]), 'tensor'], options],
  maxPool2d: [[image, 'tensor'], [2, 'size'], options],
  avgPool2d: [[image, 'tensor'], [2, 'size'], options],
  unfold: [[image, 'tensor'], [2, 'size'], options],
  layerNorm: [x, options],
  dropout: [x, [0.5, 'size', 'fraction'], rng],
  cast: [x, ['float64', 'dtype']],
};

const f: Place = [square, 'function'];
const model = nn.sequential(nn.linear(3, 3));
const params = model.init(random(1));
const layers: Readonly<Record<string, readonly [nn.Layer<never>, Tensor]>> = {
  linear: [nn.linear(3, 2) as never, floats],
  conv1d: [nn.conv1d(2, 3, 3) as never, zeros([1, 5, 2])],
  conv2d: [nn.conv2d(2, 3, 3) as never, image],
  dropout: [nn.dropout(0.5) as never, floats],
  embedding: [nn.embedding(4, 2) as never, tensor([0, 1], { dtype: 'int32' })],
  gru: [nn.gru(2, 3) as never, zeros([1, 4, 2])],
  layerNorm: [nn.layerNorm(3) as never, floats],
  lstm: [nn.lstm(2, 3) as never, zeros([1, 4, 2])],
  sequential: [model as never, floats],
};
const makers: Readonly<Record<keyof typeof nn, readonly Place[]>> = {
  linear: [[3, 'size', 'huge'], [2, 'size', 'huge'], options],
  conv1d: [[2, 'size', 'huge'], [3, 'size', 'huge'], [3, 'size', 'huge'], options],
  conv2d: [[2, 'size', 'huge'], [3, 'size', 'huge'], [3, 'size', 'huge'], options],
  dropout: [[0.5, 'size', 'fraction']],
  embedding: [
    [4, 'size', 'huge'],
    [2, 'size', 'huge'],
  ],
  gru: [[2, 'size', 'huge'], [3, 'size', 'huge'], options],
  layerNorm: [[3, 'size', 'huge'], options],
  lstm: [[2, 'size', 'huge'], [3, 'size', 'huge'], options],
  sequential: [[nn.linear(3, 3), 'function']],
};
const optimizers = {
  sgd: optim.sgd({ learningRate: 0.1, momentum: 0.9 }),
  adam: optim.adam({ learningRate: 0.1 }),
  adamw: optim.adamw({ learningRate: 0.1 }),
};

const table = tapegrad as unknown as Record<string, (...given: unknown[]) => unknown>;
const layerTags = ['linear', 'conv1d', 'conv2d', 'dropout', 'embedding', 'gru', 'layerNorm', 'lstm', 'sequential'];

/** A stream holds memory until it is finished. */
function withStream<T>(use: (stream: tapegrad.BeamStream) => T): T {
  const stream = new tapegrad.BeamStream(3, { width: 4 }).push(zeros([2, 3]));
  try {
    return use(stream);
  } finally {
    stream.finish();
  }
}

/** The rows by the names that the package exports things under. */
export const ROWS: Readonly<Record<string, Row>> = {
  ...Object.fromEntries(Object.entries(functions).map(([name, places]) => [name, { call: table[name]!, places }])),
  ...Object.fromEntries(
    Object.entries({
      tensor: [[[1, 2], 'data'], options],
      zeros: [[[2], 'shape'], options],
      ones: [[[2], 'shape'], options],
      full: [[[2], 'shape'], [1, 'value', 'yes', 'no'], options],
      eye: [[2, 'size'], [2, 'optional', 'object', 'bare'], options],
      arange: [
        [0, 'number'],
        [4, 'number', 'undefined', 'object', 'bare'],
        [1, 'number', 'undefined', 'object', 'bare'],
        options,
      ],
      zerosLike: [x, options],
      onesLike: [x, options],
      random: [[1, 'size', 'negative']],
      memory: [[undefined, 'optional']],
      setThreads: [[1, 'size']],
      device: [['cpu', 'device']],
      setDefaultDevice: [[tapegrad.defaultDevice(), 'device']],
      defaultDevice: [],
      threads: [],
      ctcStatistics: [],
      resetCtcStatistics: [],
      resetPeakMemory: [[undefined, 'optional']],
      scope: [[() => 1, 'function']],
      tensorsOf: [[[floats], 'tree']],
      stopGradient: [[[floats], 'tree']],
      mapTensors: [
        [(t: Tensor) => t, 'function'],
        [[floats], 'tree'],
      ],
      grad: [f, options],
      valueAndGrad: [f, options],
      hessian: [f, options],
      jvp: [f, x, x],
      jacobian: [f, options],
      hvp: [f, x, x],
      vjp: [f, x, [tensor(1), 'tensor']],
      customVjp: [f, f],
      gradCheck: [f, [[tensor([1.5])], 'tensors', 'list'], options],
      bucketedBatches: [[[3, 4], 'tensors', 'list', 'array'], [8, 'count'], rng],
      shuffledBatches: [[3, 'size'], [2, 'count'], rng],
      padSequences: [[[floats], 'tensors'], options],
      saveSafetensors: [[{ w: floats }, 'tree'], options],
      restoreTree: [
        [{ w: floats }, 'tree'],
        [{ w: floats }, 'tree'],
      ],
      loadSafetensors: [[new Uint8Array(8), 'order']],
      errorRate: [[['ab'], 'order', 'texts'], [['ab'], 'order', 'texts'], options],
      ctcLoss: [
        [scores, 'tensor'],
        [[[1]], 'indices'],
        [[4], 'optional', 'object', 'bare', ...TENSORS],
        [[1], 'optional', ...TENSORS],
        options,
      ],
      ctcPosterior: [
        [scores, 'tensor'],
        [[[1]], 'indices'],
        [[4], 'optional', 'object', 'bare', ...TENSORS],
        [[1], 'optional', ...TENSORS],
        options,
      ],
      ctcAlign: [
        [scores, 'tensor'],
        [[[1]], 'indices'],
        [[4], 'optional', 'object', 'bare', ...TENSORS],
        [[1], 'optional', ...TENSORS],
        options,
      ],
      ctcAlignSync: [
        [scores, 'tensor'],
        [[[1]], 'indices'],
        [[4], 'optional', 'object', 'bare', ...TENSORS],
        [[1], 'optional', ...TENSORS],
        options,
      ],
      beamDecode: [[scores, 'tensor'], [[4], 'optional', 'object', 'bare', ...TENSORS], options],
      beamDecodeSync: [[scores, 'tensor'], [[4], 'optional', 'object', 'bare', ...TENSORS], options],
      mergeSpans: [[[], 'order', 'list'], [[], 'order', 'list'], options],
      ngram: [[ARPA, 'order'], options],
      tokenSteering: [[tapegrad.ngram(ARPA), 'order'], [['', 'a'], 'order', 'list', 'texts'], options],
      wordSteering: [[['a'], 'order', 'list', 'texts'], [['', 'a', ' '], 'order', 'texts'], [2, 'size'], options],
      hotwords: [[['a'], 'order', 'list', 'texts', 'nested', 'ragged'], [['', 'a'], 'order', 'texts'], options],
      together: [[{ start: 0, step: () => [0, 0] }, 'order']],
      registerKernel: [
        ['cpu', 'device'],
        [{ name: 'k' }, 'order'],
        [() => undefined, 'function'],
      ],
      greedyDecode: [[scores, 'tensor'], [[4], 'optional', 'object', 'bare', ...TENSORS], options],
      greedyDecodeSync: [[scores, 'tensor'], [[4], 'optional', 'object', 'bare', ...TENSORS], options],
    } satisfies Record<string, readonly Place[]>).map(([name, places]) => [name, { call: table[name]!, places }]),
  ),
  BeamStream: {
    call: (...g) => new tapegrad.BeamStream(...(g as [number])).finish(),
    places: [[3, 'size', 'huge'], options],
  },
  'BeamStream.push': {
    call: (...g) => withStream((stream) => stream.push(...(g as [Tensor]))),
    places: [[zeros([2, 3]), 'tensor']],
    tags: ['BeamStream.push', 'dataSync'],
  },
  'BeamStream.readings': {
    call: (...g) => withStream((stream) => stream.readings(...(g as [number]))),
    places: [[2, 'size', 'undefined']],
    tags: ['BeamStream.readings'],
  },
  'BeamStream.restore': {
    call: (...g) => tapegrad.BeamStream.restore(...(g as [never])).finish(),
    places: [[withStream((stream) => stream.save()), 'order']],
    tags: ['BeamStream.restore'],
  },
  ...Object.fromEntries(
    (['stable', 'take', 'taken', 'partial', 'finish', 'save'] as const).map((name): [string, Row] => [
      `BeamStream.${name}`,
      {
        call: () => withStream((stream) => (name === 'stable' || name === 'taken' ? stream[name] : stream[name]())),
        places: [],
      },
    ]),
  ),
  defineOp: { call: (spec) => tapegrad.defineOp(spec as never), places: [[{ name: 'x' }, 'order']] },
  ...Object.fromEntries(
    Object.entries(makers).map(([name, places]) => [
      `nn.${name}`,
      { call: (nn as unknown as typeof table)[name]!, places, tags: [name] },
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(layers).flatMap(([name, [layer, input]]): [string, Row][] => [
      [
        `nn.${name}.init`,
        { call: (...g) => (layer as never as typeof table).init!(...g), places: [rng, options], tags: layerTags },
      ],
      [
        `nn.${name}.apply`,
        {
          call: (...g) => (layer as never as typeof table).apply!(...g),
          places: [[layer.init(random(1)), name === 'dropout' ? 'any' : 'order'], [input, 'tensor'], options],
          tags: layerTags,
        },
      ],
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(optimizers).flatMap(([name, optimizer]): [string, Row][] => [
      [
        `optim.${name}`,
        { call: (optim as unknown as typeof table)[name]!, places: [[{ learningRate: 1 }, 'order']], tags: [name] },
      ],
      [
        `optim.${name}.init`,
        { call: (...g) => optimizer.init(...(g as [never])), places: [[params, 'tree']], tags: [name] },
      ],
      [
        `optim.${name}.update`,
        {
          call: (...g) => (optimizer as unknown as typeof table).update!(...g),
          places: [
            [params, 'order'],
            [params, 'order'],
            [optimizer.init(params), 'order'],
          ],
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
  'optim.warmup': {
    call: (...g) => optim.warmup(...(g as [never, never])),
    places: [
      [10, 'count'],
      [(step: number) => step, 'function'],
    ],
  },
  'Random.fromSeed': {
    call: (...g) => tapegrad.Random.fromSeed(...(g as [never])),
    places: [[1, 'size', 'negative']],
    tags: ['random'],
  },
  'Random.fromState': {
    call: (...g) => tapegrad.Random.fromState(...(g as [never])),
    places: [[random(1).state, 'order']],
    tags: ['random'],
  },
  'Random.next': { call: () => random(1).next(), places: [] },
  'Random.gaussian': { call: () => random(1).gaussian(), places: [] },
  'Random.integer': {
    call: (...g) => random(1).integer(...(g as [never, never])),
    places: [
      [0, 'size', 'negative'],
      [5, 'size'],
    ],
    tags: ['random', 'integer'],
  },
  'Random.normal': { call: (...g) => random(1).normal(...(g as [never])), places: [[[2], 'shape'], options] },
  'Random.uniform': { call: (...g) => random(1).uniform(...(g as [never])), places: [[[2], 'shape'], options] },
  'Random.integers': {
    call: (...g) => random(1).integers(...(g as [never, never, never])),
    places: [[[2], 'shape'], [0, 'size', 'negative'], [5, 'size'], options],
  },
  'Random.permutation': { call: (...g) => random(1).permutation(...(g as [never])), places: [[4, 'size'], options] },
  ...Object.fromEntries(
    Object.entries(functions)
      .filter(([name]) => !['concat', 'stack', 'where', 'linear', 'step'].includes(name))
      .map(([name, [self, ...places]]) => [
        `Tensor.${name}`,
        { call: (...g: unknown[]) => (self![0] as typeof table)[name]!(...g), places },
      ]),
  ),
  'Tensor.concat': { call: (...g) => floats.concat(...(g as [never])), places: [[[floats], 'tensors', 'list'], axis] },
  'Tensor.stack': { call: (...g) => floats.stack(...(g as [never])), places: [[[floats], 'tensors', 'list'], axis] },
  'Tensor.where': { call: (...g) => floats.where(...(g as [never, never])), places: [[truth, 'data'], data] },
  'Tensor.to': { call: (...g) => floats.to(...(g as [never])), places: [[floats.device, 'device']] },
  ...Object.fromEntries(
    ['data', 'dataSync', 'item', 'itemSync', 'array', 'arraySync', 'ndarray', 'toString', 'toJSON', 'dispose'].map(
      (name): [string, Row] => [
        `Tensor.${name}`,
        { call: () => (ints as unknown as typeof table)[name]!(), places: [] },
      ],
    ),
  ),
};
