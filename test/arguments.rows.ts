import * as tapegrad from 'tapegrad';
import { random, tensor, type Tensor, zeros } from 'tapegrad';
import { floats, ints, JUNK, type Place, TENSORS } from './arguments.junk.js';
import { axis, data, functions, options, rng, square, truth, x } from './arguments.functions.js';
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

const scores = zeros([4, 1, 3]);
/** A safetensors file without tensors: the header's length and the header. */
const NO_TENSORS = Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode('{}'));
const ARPA = '\\data\\\nngram 1=1\n\\1-grams:\n-1 a\n\\end\\\n';

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
