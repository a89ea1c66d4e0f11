import {
  bceWithLogits,
  crossEntropy,
  type CrossEntropyOptions,
  huber,
  klDiv,
  mse,
  ShapeError,
  tensor,
  type Tensor,
  ValueError,
  zeros,
} from 'tapegrad';
import { alongAxis, at, logSumExpOf, mapped, positions, spread, total, type Values, values } from '../reference.js';
import { bool, exact, int, type OpInfo, type Sample, text } from './info.js';

type Reduction = 'mean' | 'sum' | 'none';
const REDUCTIONS: readonly Reduction[] = ['mean', 'sum', 'none'];

const reduced = (losses: Values, reduction: Reduction): Values => {
  if (reduction === 'none') return losses;
  const sum = total(losses.data);
  return values([], [reduction === 'sum' ? sum : losses.data.length === 0 ? 0 : sum / losses.data.length]);
};

interface Elementwise {
  readonly name: string;
  readonly run: (a: Tensor, b: Tensor, reduction: Reduction) => Tensor;
  readonly f: (a: number, b: number) => number;
  readonly domains?: readonly [readonly [number, number], readonly [number, number]];
}

const PAIR: Elementwise['domains'] & object = [
  [-3, 3],
  [-2, 2],
];
const elementwise = ({ name, run, f, domains = PAIR }: Elementwise): Sample[] =>
  [...[[], [5], [2, 3], [0]], [33, 7]].flatMap((shape, i) =>
    REDUCTIONS.map((reduction) => ({
      name: `${name} ${text(shape)} ${reduction}`,
      inputs: [spread(shape, ...domains[0]), spread(shape, ...domains[1], 1)],
      run: (a, b) => run(a, b, reduction),
      want: (a, b) => reduced(mapped(f)(a, b), reduction),
      forwardOnly: i > 3,
    })),
  );

const softplusOf = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const binary = (x: number, target: number, positive = 1): number =>
  (target === 0 ? 0 : positive * target * softplusOf(-x)) + (target === 1 ? 0 : (1 - target) * softplusOf(x));
const huberOf = (delta: number) => (a: number, b: number) =>
  Math.abs(a - b) <= delta ? 0.5 * (a - b) ** 2 : delta * (Math.abs(a - b) - 0.5 * delta);

/** The classes along an axis of logits, by the definition: weights of classes, and labels that are mixed with all of them. */
function entropy(
  logits: Values,
  targets: readonly number[],
  { axis = -1, ignoreIndex = -100, labelSmoothing = 0, reduction = 'mean' }: CrossEntropyOptions,
  weight?: Values,
): Values {
  const own = axis < 0 ? axis + logits.shape.length : axis;
  const classes = logits.shape[own]!;
  const logProbs = alongAxis(logits, own, (row) => row.map((x) => x - logSumExpOf(row)));
  const shape = logits.shape.filter((_, i) => i !== own);
  const places = positions(shape);
  const of = (c: number): number => (weight ? at(weight, [c]) : 1);
  const counted = targets.map((target) => target !== ignoreIndex);
  const losses = places.map((place, i) => {
    if (!counted[i]) return 0;
    const score = (c: number): number => -of(c) * at(logProbs, [...place.slice(0, own), c, ...place.slice(own)]);
    const all = labelSmoothing === 0 ? 0 : total(Array.from({ length: classes }, (_, c) => score(c))) / classes;
    return (1 - labelSmoothing) * score(targets[i]!) + labelSmoothing * all;
  });
  if (reduction === 'none') return values(shape, losses);
  const divisor = total(targets.map((target, i) => (counted[i] ? of(target) : 0)));
  return values([], [reduction === 'sum' ? total(losses) : divisor === 0 ? 0 : total(losses) / divisor]);
}

const entropySample = (
  name: string,
  shape: readonly number[],
  targets: readonly number[],
  options: CrossEntropyOptions = {},
  weighted = false,
): Sample => {
  const own = (options.axis ?? -1) < 0 ? (options.axis ?? -1) + shape.length : options.axis!;
  const indices = (): Tensor =>
    int(
      targets,
      shape.filter((_, i) => i !== own),
    );
  return {
    name,
    inputs: [spread(shape, -3, 3), ...(weighted ? [spread([shape[own]!], 0.2, 2, 1)] : [])],
    run: (x, weight) => crossEntropy(x, indices(), { ...options, ...(weight && { weight }) }),
    want: (x, weight) => entropy(x, targets, options, weight),
    forwardOnly: shape.some((dim) => dim > 100),
  };
};

const many = Array.from({ length: 9 }, (_, i) => (i * 53) % 131);
const inf = (...data: number[]): Tensor => tensor([data]);

export const lossInfo = {
  crossEntropy: {
    samples: [
      ...REDUCTIONS.flatMap((reduction) => [
        entropySample(`[4,3] ${reduction}`, [4, 3], [2, 0, 1, 1], { reduction }),
        entropySample(`[4,3] ignored, ${reduction}`, [4, 3], [2, -100, 1, -100], { reduction }),
        entropySample(
          `[2,4,3] along 1, weights, smoothing, ignored, ${reduction}`,
          [2, 4, 3],
          [3, 0, 255, 2, 1, 255],
          { reduction, axis: 1, labelSmoothing: 0.1, ignoreIndex: 255 },
          true,
        ),
      ]),
      entropySample('one row', [3], [1]),
      entropySample('smoothing alone', [2, 5], [4, 0], { labelSmoothing: 1 }),
      entropySample('a class that is ignored', [3, 3], [0, 2, 1], { ignoreIndex: 0 }),
      entropySample('weights', [3, 2], [0, 1, 1], {}, true),
      entropySample('all ignored', [2, 3], [-100, -100]),
      entropySample('all ignored, weights', [2, 3], [-100, -100], {}, true),
      entropySample('no rows', [0, 3], []),
      entropySample('along 0', [5, 2, 2], [4, 3, 0, 1], { axis: 0, reduction: 'none' }),
      entropySample('[9,131]', [9, 131], many, { labelSmoothing: 0.2, reduction: 'none' }),
    ],
    ulps: 4,
    absolute: 1e-6,
    exact: [
      exact('a class that cannot be', () => crossEntropy(inf(0, -Infinity), [0]), 'float32', [], [0]),
      exact('the target cannot be', () => crossEntropy(inf(0, -Infinity), [1]), 'float32', [], [Infinity]),
      exact(
        'what ignored rows hold does not matter',
        () =>
          crossEntropy(
            tensor([
              [NaN, Infinity],
              [-Infinity, -Infinity],
              [0, 0],
            ]),
            [-100, -100, 1],
            { reduction: 'sum' },
          ),
        'float32',
        [],
        [Math.log(2)],
      ),
      exact(
        'a weight of 0 counts for nothing beside a class that cannot be',
        () => crossEntropy(inf(0, -Infinity, 0), [0], { weight: [1, 0, 1], labelSmoothing: 0.3 }),
        'float32',
        [],
        [0.8 * Math.log(2) + 0.1 * Math.log(2)],
      ),
      exact('int32', () => crossEntropy(int([[7, 7]]), [0]), 'float32', [], [Math.log(2)]),
      exact('far apart', () => crossEntropy(inf(1e4, -1e4), [1]), 'float32', [], [2e4]),
    ],
    errors: [
      {
        run: () => crossEntropy(zeros([2, 3]), [[0], [1]]),
        error: ShapeError,
        message: '[crossEntropy] targets are [2, 1] for logits [2, 3] with the classes along axis 1; they must be [2]',
      },
      {
        run: () => crossEntropy(zeros([2, 3]), [0, 3]),
        error: ValueError,
        message: '[crossEntropy] target 1 is 3; it must be in [0, 3), or -100 to be ignored',
      },
      {
        run: () => crossEntropy(zeros([2, 3]), [0, -1], { ignoreIndex: 255 }),
        error: ValueError,
        message: '[crossEntropy] target 1 is -1; it must be in [0, 3), or 255 to be ignored',
      },
      {
        run: () => crossEntropy(zeros([2, 3]), [0, 1], { weight: [1, 2] }),
        error: ShapeError,
        message: '[crossEntropy] weight is [2]; it must be [3], a number for each class',
      },
      {
        run: () => crossEntropy(zeros([2, 3]), [0, 1], { labelSmoothing: 1.5 }),
        error: ValueError,
        message: '[crossEntropy] labelSmoothing is 1.5; it must be in [0, 1]',
      },
      {
        run: () => crossEntropy(zeros([2, 3]), [0, 1], { reduction: 'avg' as 'mean' }),
        error: ValueError,
        message: "[crossEntropy] reduction is 'avg'; it must be 'mean', 'sum' or 'none'",
      },
      {
        run: () => crossEntropy(zeros([2, 3]), [0, 1], 'sum' as never),
        error: ValueError,
        message: "(write { reduction: 'sum' })",
      },
      {
        run: () => crossEntropy(zeros([2, 3]), [0, 1], { axis: 2 }),
        error: ShapeError,
        message: '[crossEntropy] axis 2 is outside [-2, 2)',
      },
    ],
  },
  mse: {
    samples: elementwise({
      name: 'mse',
      run: (a, b, reduction) => mse(a, b, { reduction }),
      f: (a, b) => (a - b) ** 2,
    }),
    ulps: 2,
    exact: [exact('int32', () => mse(int([1, 2]), [2, 4]), 'float32', [], [2.5])],
    errors: [
      {
        run: () => mse(zeros([3, 1]), zeros([3])),
        error: ShapeError,
        message: '[mse] predictions [3, 1] and targets [3]; their shapes must be equal',
      },
      {
        run: () => mse(zeros([3]), 0),
        error: ShapeError,
        message: '[mse] predictions [3] and targets []; their shapes must be equal',
      },
    ],
  },
  huber: {
    samples: [1, 0.3, Infinity].flatMap((delta) =>
      elementwise({
        name: `delta ${delta}`,
        run: (a, b, reduction) => huber(a, b, { reduction, delta }),
        f: huberOf(delta),
      }),
    ),
    ulps: 4,
    absolute: 2e-7,
    exact: [
      exact(
        'outliers',
        () => huber(tensor([1e30, -Infinity]), [0, 0], { reduction: 'none' }),
        'float32',
        [2],
        [1e30, Infinity],
      ),
    ],
    errors: [
      {
        run: () => huber(zeros([3]), zeros([3]), { delta: 0 }),
        error: ValueError,
        message: '[huber] delta is 0; it must be a positive number',
      },
      {
        run: () => huber(zeros([1, 3]), zeros([3])),
        error: ShapeError,
        message: '[huber] predictions [1, 3] and targets [3]; their shapes must be equal',
      },
    ],
  },
  bceWithLogits: {
    samples: [
      ...elementwise({
        name: 'bce',
        run: (a, b, reduction) => bceWithLogits(a, b, { reduction }),
        f: binary,
        domains: [
          [-4, 4],
          [0.1, 0.9],
        ],
      }),
      ...REDUCTIONS.map((reduction): Sample => ({
        name: `weights ${reduction}`,
        inputs: [spread([4, 3], -4, 4), spread([4, 3], 0, 1, 1), spread([3], 0.5, 3, 2), spread([4, 1], 0.2, 2, 3)],
        run: (x, target, posWeight, weight) => bceWithLogits(x, target, { reduction, posWeight, weight }),
        want: (x, target, posWeight, weight) =>
          reduced(mapped((a, b, c, d) => d * binary(a, b, c))(x, target, posWeight, weight), reduction),
      })),
    ],
    ulps: 6,
    exact: [
      exact(
        'far from 0',
        () => bceWithLogits(tensor([200, -200]), [1, 0], { reduction: 'none' }),
        'float32',
        [2],
        [0, 0],
      ),
      exact(
        'far on the wrong side',
        () => bceWithLogits(tensor([200, -200]), [0, 1], { reduction: 'none' }),
        'float32',
        [2],
        [200, 200],
      ),
      exact('certain', () => bceWithLogits(tensor([Infinity, -Infinity]), [1, 0]), 'float32', [], [0]),
      exact(
        'bool targets',
        () => bceWithLogits(tensor([0, 0]), bool(true, false), { posWeight: 3 }),
        'float32',
        [],
        [2 * Math.log(2)],
      ),
    ],
    errors: [
      {
        run: () => bceWithLogits(zeros([3, 1]), zeros([3])),
        error: ShapeError,
        message: '[bceWithLogits] logits [3, 1] and targets [3]; their shapes must be equal',
      },
      {
        run: () => bceWithLogits(zeros([3, 2]), zeros([3, 2]), { posWeight: [1, 2, 3] }),
        error: ShapeError,
        message: '[bceWithLogits] posWeight is [3]; it must stretch to [3, 2]',
      },
      {
        run: () => bceWithLogits(zeros([2]), zeros([2]), { weight: zeros([3, 2]) }),
        error: ShapeError,
        message: '[bceWithLogits] weight is [3, 2]; it must stretch to [2]',
      },
    ],
  },
  klDiv: {
    samples: [
      ...elementwise({
        name: 'probabilities',
        run: (a, b, reduction) => klDiv(a, b, { reduction }),
        f: (a, b) => (b === 0 ? 0 : b * (Math.log(b) - a)),
        domains: [
          [-4, -0.1],
          [0.05, 0.95],
        ],
      }),
      ...elementwise({
        name: 'log-probabilities',
        run: (a, b, reduction) => klDiv(a, b, { reduction, logTarget: true }),
        f: (a, b) => Math.exp(b) * (b - a),
        domains: [
          [-4, -0.1],
          [-3, -0.2],
        ],
      }),
      {
        name: 'mean over the batch',
        inputs: [spread([3, 4], -4, -0.1), spread([3, 4], 0.05, 0.95, 1)],
        run: (a, b) => klDiv(a, b, { reduction: 'batchMean' }),
        want: (a, b) => values([], [total(mapped((x, y) => y * (Math.log(y) - x))(a, b).data) / 3]),
      },
    ],
    ulps: 6,
    absolute: 1e-6,
    exact: [
      exact('0 log 0', () => klDiv(tensor([-1, -Infinity]), [0, 0], { reduction: 'none' }), 'float32', [2], [0, 0]),
      exact('more than can be', () => klDiv(tensor([-Infinity]), [0.5]), 'float32', [], [Infinity]),
      exact(
        '0 log 0 of log-probabilities',
        () => klDiv(tensor([-1, -Infinity]), [-Infinity, -Infinity], { logTarget: true, reduction: 'none' }),
        'float32',
        [2],
        [0, 0],
      ),
    ],
    errors: [
      {
        run: () => klDiv(zeros([3, 1]), zeros([3])),
        error: ShapeError,
        message: '[klDiv] logProbs [3, 1] and targets [3]; their shapes must be equal',
      },
      {
        run: () => klDiv(zeros([3]), zeros([3]), { reduction: 'batch' as 'mean' }),
        error: ValueError,
        message: "[klDiv] reduction is 'batch'; it must be 'mean', 'sum', 'none' or 'batchMean'",
      },
      {
        run: () => klDiv(zeros([3]), zeros([3]), { logTarget: 1 as never }),
        error: ValueError,
        message: '[klDiv] logTarget is 1; it must be true or false',
      },
    ],
  },
} satisfies Record<string, OpInfo>;
