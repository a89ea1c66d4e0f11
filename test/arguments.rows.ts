import * as tapegrad from 'tapegrad';
import { random, tensor, type Tensor, zeros } from 'tapegrad';
import { floats, ints, JUNK, type Place, TENSORS } from './arguments.junk.js';
import { AUDIO_ROWS } from './arguments.audio.js';
import { IMAGE_ROWS } from './arguments.image.js';
import { LAYER_ROWS } from './arguments.layers.js';

/**
 * One row for every function, method, layer and optimizer of the package: a call that is right, and for each place what else may stand there.
 * test/arguments.test.ts puts everything in JUNK into every place.
 */

export interface Row {
  readonly call: (...given: unknown[]) => unknown;
  readonly places: readonly Place[];
  /** Names that errors may be tagged with; the export's own name when left out. */
  readonly tags?: readonly string[];
}

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
/** A safetensors file without tensors: the header's length and the header. */
const NO_TENSORS = Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode('{}'));
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
      'ceil',
      'round',
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
      .concat(['tan', 'asin', 'acos', 'atan', 'hardSwish'])
      .map((name) => [name, [data]]),
  ),
  ...Object.fromEntries(
    [
      'add',
      'sub',
      'mul',
      'div',
      'pow',
      'mod',
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
  leakyRelu: [data, [0.1, 'data', 'undefined']],
  elu: [data, [1, 'data', 'undefined']],
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
    ['sum', 'mean', 'max', 'min', 'prod', 'logSumExp', 'variance', 'std', 'norm', 'any', 'all'].map((name) => [
      name,
      [x, axes, options],
    ]),
  ),
  argmax: [x, axis, options],
  argmin: [x, axis, options],
  cumsum: [x, axis, options],
  cumprod: [x, axis, options],
  logCumSumExp: [x, axis, options],
  sort: [x, axis, options],
  argsort: [x, axis, options],
  topk: [x, [2, 'size'], axis, options],
  repeat: [x, [2, 'size', 'no'], axis],
  tile: [x, [2, 'size', 'list']],
  roll: [x, [1, 'size', 'negative', 'huge'], axes],
  tril: [x, [0, 'size', 'negative', 'huge', 'undefined']],
  triu: [x, [0, 'size', 'negative', 'huge', 'undefined']],
  einsum: [['ij', 'order'], x],
  rfft: [x, axis, options],
  irfft: [[zeros([3, 2]), 'tensor'], axis, options],
  softmax: [x, axis],
  glu: [
    [zeros([2, 4]), 'tensor'],
    [0, 'axis'],
  ],
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
  convTranspose1d: [[zeros([1, 5, 2]), 'tensor'], [zeros([3, 3, 2]), 'tensor'], options],
  convTranspose2d: [[image, 'tensor'], [zeros([3, 3, 3, 2]), 'tensor'], options],
  interpolate: [x, [{ scale: 2 }, 'order']],
  maxPool1d: [[zeros([1, 5, 2]), 'tensor'], [2, 'size'], options],
  avgPool1d: [[zeros([1, 5, 2]), 'tensor'], [2, 'size'], options],
  adaptiveAvgPool1d: [
    [zeros([1, 5, 2]), 'tensor'],
    [2, 'size'],
  ],
  adaptiveAvgPool2d: [
    [image, 'tensor'],
    [2, 'size'],
  ],
  globalAvgPool: [[image, 'tensor'], options],
  globalMaxPool: [[image, 'tensor'], options],
  maxPool2d: [[image, 'tensor'], [2, 'size'], options],
  avgPool2d: [[image, 'tensor'], [2, 'size'], options],
  unfold: [[image, 'tensor'], [2, 'size'], options],
  layerNorm: [x, options],
  rmsNorm: [x, options],
  rotaryPositions: [[zeros([3, 4]), 'tensor'], options],
  attention: [x, x, x, options],
  groupNorm: [x, [3, 'size'], options],
  dropout: [x, [0.5, 'size', 'fraction'], rng],
  cast: [x, ['float64', 'dtype']],
};

const f: Place = [square, 'function'];
const table = tapegrad as unknown as Record<string, (...given: unknown[]) => unknown>;

/** A stream holds memory until it is finished. */
function withStream<T>(use: (stream: tapegrad.BeamStream) => T): T {
  const stream = new tapegrad.BeamStream(3, { width: 4 }).push(zeros([2, 3]));
  try {
    return use(stream);
  } finally {
    stream.finish();
  }
}

/** What is an array among the junk: it can be shuffled, whatever is in it. */
const LISTS = Object.entries(JUNK).flatMap(([name, value]) => (Array.isArray(value) ? [name] : []));

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
      linspace: [[0, 'number'], [4, 'number'], [3, 'size'], options],
      zerosLike: [x, options],
      onesLike: [x, options],
      random: [[1, 'size', 'negative']],
      lengthMask: [[[1, 2], 'indices', 'list'], options],
      causalMask: [[2, 'size'], options],
      sinusoidalPositions: [[2, 'size'], [4, 'size'], options],
      memory: [[undefined, 'optional']],
      setThreads: [[1, 'size']],
      device: [['cpu', 'device']],
      setDefaultDevice: [[tapegrad.defaultDevice(), 'device']],
      defaultDevice: [],
      threads: [],
      blas: [],
      findBlas: [],
      useBlas: [[null, 'optional', 'null']],
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
      checkpoint: [f],
      customVjp: [f, f],
      gradCheck: [f, [[tensor([1.5])], 'tensors', 'list'], options],
      bucketedBatches: [[[3, 4], 'tensors', 'list', 'array'], [8, 'count'], rng],
      shuffledBatches: [[3, 'size'], [2, 'count'], rng],
      padSequences: [[[floats], 'tensors'], options],
      saveSafetensors: [[{ w: floats }, 'tree'], options],
      restoreTree: [[{ w: floats }, 'tree'], [{ w: floats }, 'tree'], options],
      fromTorch: [[{ w: floats }, 'order', 'object', 'bare'], options],
      loadSafetensors: [[NO_TENSORS, 'order'], options],
      crossEntropy: [x, [[0, 2], 'indices'], options],
      mse: [x, data, options],
      huber: [x, data, options],
      bceWithLogits: [x, data, options],
      klDiv: [x, data, options],
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
      toSrt: [
        [[], 'order', 'list'],
        [{ secondsPerFrame: 1, text: [] }, 'order'],
      ],
      toVtt: [
        [[], 'order', 'list'],
        [{ secondsPerFrame: 1, text: [] }, 'order'],
      ],
      toTextGrid: [
        [{}, 'order', 'object', 'bare'],
        [{ secondsPerFrame: 1, text: () => '' }, 'order'],
      ],
      alphabet: [['abc', 'order', 'text', 'number', 'long text', 'texts'], options],
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
  ...LAYER_ROWS,
  ...IMAGE_ROWS,
  ...AUDIO_ROWS,
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
  'Random.categorical': { call: (...g) => random(1).categorical(...(g as [never])), places: [x, options] },
  'Random.choice': {
    call: (...g) => random(1).choice(...(g as [never])),
    places: [[floats, 'size', ...TENSORS], [[2], 'shape', 'undefined'], options],
  },
  'Random.shuffle': {
    call: (...g) => random(1).shuffle(...(g as [never, never])),
    places: [[floats, 'tensor', ...LISTS], axis],
  },
  'Random.permutation': { call: (...g) => random(1).permutation(...(g as [never])), places: [[4, 'size'], options] },
  ...Object.fromEntries(
    Object.entries(functions)
      .filter(
        ([name]) => !['concat', 'stack', 'where', 'linear', 'step', 'attention', 'rotaryPositions'].includes(name),
      )
      .filter(([name]) => !['concat', 'stack', 'where', 'linear', 'step', 'einsum'].includes(name))
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
