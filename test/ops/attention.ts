import {
  attention,
  DTypeError,
  lengthMask,
  rotaryPositions,
  ShapeError,
  type Tensor,
  tensor,
  ValueError,
  zeros,
} from 'tapegrad';
import { at, broadcastShape, build, range, spread, total, type Values, values } from '../reference.js';
import { bool, exact, type OpInfo, type Sample } from './info.js';

/** What a query may look at, by the position of the pair. */
type Allowed = (position: readonly number[]) => boolean;

/** Attention by plain loops. */
function attended(
  [q, k, v]: readonly Values[],
  { scale, allowed = () => true, bias }: { scale?: number; allowed?: Allowed; bias?: Values } = {},
): Values {
  const lead = broadcastShape(...[q!, k!, v!].map(({ shape }) => shape.slice(0, -2)));
  const [frames, keys, width] = [q!.shape.at(-2)!, k!.shape.at(-2)!, q!.shape.at(-1)!];
  return build([...lead, frames, v!.shape.at(-1)!], (p) => {
    const [t, e] = [p.at(-2)!, p.at(-1)!];
    const outer = p.slice(0, -2);
    const scores = range(keys).map((s) => {
      if (!allowed([...outer, t, s])) return -Infinity;
      const products = range(width).map((i) => at(q!, [...outer, t, i]) * at(k!, [...outer, s, i]));
      return total(products) * (scale ?? 1 / Math.sqrt(width)) + (bias ? at(bias, [...outer, t, s]) : 0);
    });
    const most = Math.max(...scores);
    if (most === -Infinity) return 0;
    const weights = scores.map((score) => Math.exp(score - most));
    return total(weights.map((weight, s) => weight * at(v!, [...outer, s, e]))) / total(weights);
  });
}

const inputs = (...shapes: (readonly number[])[]): Values[] => shapes.map((shape, i) => spread(shape, -1.5, 1.5, i));
const causal =
  (frames: number, keys: number): Allowed =>
  (p) =>
    p.at(-1)! <= p.at(-2)! + keys - frames;
/** Made where the suite runs. */
const holes = (): Tensor =>
  tensor([
    [true, false, true],
    [false, false, false],
  ]);

const turned = (x: Values, { offset = 0, base = 10_000, interleaved = false } = {}): Values => {
  const pairs = x.shape.at(-1)! / 2;
  return build(x.shape, (p) => {
    const [t, i] = [p.at(-2)!, p.at(-1)!];
    const pair = interleaved ? Math.floor(i / 2) : i % pairs;
    const isFirst = interleaved ? i % 2 === 0 : i < pairs;
    const angle = (t + offset) * base ** (-pair / pairs);
    const of = (j: number): number => at(x, [...p.slice(0, -1), j]);
    const a = of(interleaved ? 2 * pair : pair);
    const b = of(interleaved ? 2 * pair + 1 : pair + pairs);
    return isFirst ? a * Math.cos(angle) - b * Math.sin(angle) : a * Math.sin(angle) + b * Math.cos(angle);
  });
};

export const attentionInfo = {
  attention: {
    samples: [
      {
        name: 'two heads',
        inputs: inputs([2, 3, 4], [2, 3, 4], [2, 3, 2]),
        run: (q, k, v) => attention(q, k, v),
        want: (...given) => attended(given),
      },
      {
        name: 'other keys, scale and bias',
        inputs: inputs([2, 3], [4, 3], [4, 2], [2, 4]),
        run: (q, k, v, bias) => attention(q, k, v, { scale: 0.7, bias }),
        want: (q, k, v, bias) => attended([q, k, v], { scale: 0.7, bias }),
      },
      {
        name: 'causal',
        inputs: inputs([3, 2], [3, 2], [3, 2]),
        run: (q, k, v) => attention(q, k, v, { causal: true }),
        want: (...given) => attended(given, { allowed: causal(3, 3) }),
      },
      {
        name: 'causal, more keys than queries',
        inputs: inputs([2, 2], [4, 2], [4, 3]),
        run: (q, k, v) => attention(q, k, v, { causal: true }),
        want: (...given) => attended(given, { allowed: causal(2, 4) }),
      },
      {
        name: 'causal, queries that see nothing',
        inputs: inputs([4, 2], [2, 2], [2, 3]),
        run: (q, k, v) => attention(q, k, v, { causal: true }),
        want: (...given) => attended(given, { allowed: causal(4, 2) }),
      },
      {
        name: 'a mask with a row and a column of nothing',
        inputs: inputs([2, 2, 2], [2, 3, 2], [2, 3, 2]),
        run: (q, k, v) => attention(q, k, v, { mask: holes() }),
        want: (...given) => attended(given, { allowed: ([, t, s]) => t === 0 && s !== 1 }),
      },
      {
        name: 'lengths of keys, heads and a shared key',
        inputs: inputs([2, 2, 2, 2], [2, 1, 3, 2], [3, 2]),
        run: (q, k, v) =>
          attention(q, k, v, {
            mask: lengthMask([2, 0], { frames: 3 }).reshape([2, 1, 1, 3]).to(q.device),
            causal: true,
          }),
        want: (...given) => attended(given, { allowed: ([n, , t, s]) => s! < [2, 0][n!]! && s! <= t! + 1 }),
      },
      {
        name: 'long',
        inputs: inputs([3, 2, 37, 8], [3, 2, 41, 8], [3, 2, 41, 5]),
        run: (q, k, v) => attention(q, k, v, { mask: lengthMask([41, 7, 23]).reshape([3, 1, 1, 41]) }),
        want: (...given) => attended(given, { allowed: (p) => p.at(-1)! < [41, 7, 23][p[0]!]! }),
        forwardOnly: true,
      },
      ...(
        [
          [
            [0, 2],
            [3, 2],
            [3, 2],
          ],
          [
            [2, 2],
            [0, 2],
            [0, 3],
          ],
          [
            [0, 2, 2],
            [0, 3, 2],
            [0, 3, 2],
          ],
        ] as const
      ).map((shapes): Sample => ({
        name: `nothing: ${shapes.map((shape) => `[${shape.join(',')}]`).join(' ')}`,
        inputs: inputs(...shapes),
        run: (q, k, v) => attention(q, k, v, { causal: true }),
        want: (q, _k, v) => {
          const shape = [...q.shape.slice(0, -1), v.shape.at(-1)!];
          return values(shape, new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0));
        },
      })),
    ],
    ulps: 8,
    absolute: 2e-6,
    absolute64: 1e-13,
    gradientError: 1e-5,
    exact: [
      exact(
        'NaN where nobody may look, and of who may look at nothing',
        () =>
          attention(tensor([[NaN], [0]]), tensor([[0], [NaN], [0]]), tensor([[1], [NaN], [3]]), {
            mask: tensor([
              [false, false, false],
              [true, false, true],
            ]),
          }),
        'float32',
        [2, 1],
        [0, 2],
      ),
    ],
    errors: [
      {
        run: () => attention(zeros([2, 3]), zeros([2, 4]), zeros([2, 3])),
        error: ShapeError,
        message: '[attention] q [2, 3], k [2, 4] and v [2, 3]; they must be [..., T, d], [..., S, d] and [..., S, e]',
      },
      {
        run: () => attention(zeros([3]), zeros([2, 3]), zeros([2, 3])),
        error: ShapeError,
        message: '[attention] q [3]',
      },
      {
        run: () => attention(zeros([2, 2, 3]), zeros([3, 2, 3]), zeros([2, 3])),
        error: ShapeError,
        message: '[attention]',
      },
      {
        run: () => attention(zeros([2, 3]), zeros([4, 3]), zeros([4, 3]), { mask: bool(true, false) }),
        error: ShapeError,
        message: '[attention] the mask is [2]; it must stretch to [2, 4]',
      },
      {
        run: () => attention(zeros([2, 3]), zeros([4, 3]), zeros([4, 3]), { mask: zeros([2, 4]) }),
        error: DTypeError,
        message: '[attention] the mask is float32; it must be bool, true where one may look',
      },
      {
        run: () => attention(zeros([2, 3]), zeros([4, 3]), zeros([4, 3]), { bias: zeros([2, 2, 4]) }),
        error: ShapeError,
        message: '[attention] the bias is [2, 2, 4]; it must stretch to [2, 4]',
      },
      {
        run: () => attention(zeros([2, 3]), zeros([4, 3]), zeros([4, 3]), { dropout: 0.5 }),
        error: ValueError,
        message: '[attention] dropout needs a source of randomness: { dropout, random }',
      },
      {
        run: () => attention(zeros([2, 3]), zeros([4, 3]), zeros([4, 3]), { scale: NaN }),
        error: ValueError,
        message: '[attention] scale is NaN; it must be a finite number',
      },
    ],
  },
  rotaryPositions: {
    samples: [
      { name: '[3,4]', inputs: inputs([3, 4]), run: (x) => rotaryPositions(x), want: (x) => turned(x) },
      {
        name: '[2,2,3,2] from 5',
        inputs: inputs([2, 2, 3, 2]),
        run: (x) => rotaryPositions(x, { offset: 5, base: 10 }),
        want: (x) => turned(x, { offset: 5, base: 10 }),
      },
      {
        name: '[2,3,4] interleaved',
        inputs: inputs([2, 3, 4]),
        run: (x) => rotaryPositions(x, { interleaved: true, base: 100 }),
        want: (x) => turned(x, { interleaved: true, base: 100 }),
      },
      { name: '[0,4]', inputs: inputs([0, 4]), run: (x) => rotaryPositions(x), want: (x) => x },
      { name: '[3,0]', inputs: inputs([3, 0]), run: (x) => rotaryPositions(x), want: (x) => x },
      {
        name: '[70,16]',
        inputs: inputs([70, 16]),
        run: (x) => rotaryPositions(x),
        want: (x) => turned(x),
        forwardOnly: true,
      },
    ],
    ulps: 4,
    absolute: 1e-6,
    absolute64: 1e-14,
    errors: [
      { run: () => rotaryPositions(zeros([4])), error: ShapeError, message: '[rotaryPositions] x is [4]; it must be' },
      { run: () => rotaryPositions(zeros([2, 3])), error: ShapeError, message: 'an even number of features' },
      { run: () => rotaryPositions(zeros([2, 4]), { offset: 0.5 }), error: ValueError, message: 'offset is 0.5' },
      { run: () => rotaryPositions(zeros([2, 4]), { base: 0 }), error: ValueError, message: 'base is 0' },
    ],
  },
} satisfies Record<string, OpInfo>;
