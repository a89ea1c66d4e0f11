import { DTypeError, ShapeError, ValueError } from '../errors.js';
import { attention } from '../ops/attention.js';
import { logicalAnd } from '../ops/elementwise.js';
import { permute, reshape } from '../ops/movement/index.js';
import { rotaryPositions } from '../ops/positions.js';
import { checkBoolean, checkOptions, checkTensor, describe, isPlainObject } from '../tensor/arguments.js';
import type { TensorLike } from '../tensor/create.js';
import type { Random } from '../tensor/random.js';
import { formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  type ApplyOptions,
  checkApply,
  checkInit,
  type InitOptions,
  type Layer,
  ofKind,
  trainingRandom,
} from './layer.js';
import { areFull, frameMask, type Lengths, lengthsOf, lengthsThrough, maskFrames } from './lengths.js';
import { checkSizes, linear, type LinearParams } from './linear.js';

export interface AttentionParams {
  /** Each of weight [features, features] and bias [features]; those of key and value read the memory's features. */
  readonly query: LinearParams;
  readonly key: LinearParams;
  readonly value: LinearParams;
  readonly output: LinearParams;
}

export interface MultiHeadAttentionOptions {
  /** Features of the memory, for cross attention; those of x by default. */
  readonly memoryFeatures?: number | undefined;
  /** Whether the four products have a bias; true by default. */
  readonly bias?: boolean | undefined;
  /** The share of attention weights that are dropped in training; 0 by default. */
  readonly dropout?: number | undefined;
  /** Whether a frame sees no later one; false by default. */
  readonly causal?: boolean | undefined;
  /** Whether queries and keys are turned by their positions, as `rotaryPositions` does; false by default. */
  readonly rotary?: boolean | undefined;
}

/** What `apply` of an attention layer is told. */
export interface AttentionLayerOptions extends ApplyOptions {
  /** What is looked at, [N, S, memoryFeatures]; x itself when left out. */
  readonly memory?: Tensor | undefined;
  /** Frames of each sequence of the memory; all S of them when left out. */
  readonly memoryLengths?: TensorLike | undefined;
  /** Which frames a frame may look at, beside what lengths and `causal` say: bool, of a shape that stretches to [N, heads, T, S]. */
  readonly mask?: Tensor | undefined;
}

export interface AttentionLayer extends Layer<AttentionParams>, Lengths {
  outputLength(length: number): number;
  apply(params: AttentionParams, x: Tensor, options?: AttentionLayerOptions): Tensor;
}

const NAMES = ['query', 'key', 'value', 'output'] as const;

/**
 * Attention in several heads (Vaswani et al., arXiv:1706.03762): x, [N, T, features], looks at itself, or at a memory, [N, S, memoryFeatures]; the
 * result is [N, T, features]. Heads lie side by side in the features, as in torch.
 *
 * With lengths no frame looks beyond them, and frames beyond them come out as 0, whatever they hold. A frame that may look at nothing gets the
 * output's bias alone.
 * @throws {ValueError} for features that cannot be divided by the heads, and for `causal` or `rotary` with a memory.
 */
export function multiHeadAttention(
  features: number,
  heads: number,
  options: MultiHeadAttentionOptions = {},
): AttentionLayer {
  const op = 'multiHeadAttention';
  checkSizes(op, { features, heads });
  checkOptions(op, options, ['memoryFeatures', 'bias', 'dropout', 'causal', 'rotary'], (given) =>
    typeof given === 'number' ? `write { dropout: ${given} }` : null,
  );
  const { memoryFeatures = features, bias = true, dropout = 0, causal = false, rotary = false } = options;
  checkSizes(op, { memoryFeatures });
  for (const [name, value] of Object.entries({ bias, causal, rotary })) checkBoolean(op, name, value);
  if (!(typeof dropout === 'number' && dropout >= 0 && dropout < 1))
    throw new ValueError(op, `dropout is ${describe(dropout)}; it must be in [0, 1)`);
  const width = features / heads;
  if (!Number.isInteger(width))
    throw new ValueError(op, `${features} features do not fall into ${heads} heads of one size`);
  if (rotary && width % 2 !== 0)
    throw new ValueError(op, `heads of ${width} features; rotary positions turn pairs, so their number must be even`);
  const own = linear(features, features, { bias });
  const other = linear(memoryFeatures, features, { bias });
  const projections = { query: own, key: other, value: other, output: own };

  const apply = (params: AttentionParams, given: Tensor, told: AttentionLayerOptions = {}): Tensor => {
    checkApply(op, params, given, told, ['random', 'lengths', 'training', 'memory', 'memoryLengths', 'mask']);
    checkParts(op, params);
    checkFrames(op, 'x', given, features);
    const { lengths, memory, mask } = told;
    if (memory === undefined && told.memoryLengths !== undefined)
      throw new ValueError(op, 'there are memoryLengths, but no memory');
    if (memory === undefined && memoryFeatures !== features)
      throw new ValueError(op, `it looks at a memory of ${memoryFeatures} features: { memory }`);
    if (memory !== undefined) checkMemory(op, memory, given, memoryFeatures, { causal, rotary });
    const random = dropout > 0 ? trainingRandom(op, told) : null;

    const x = maskFrames(op, given, lengths);
    const [seen, seenLengths] = memory === undefined ? [x, lengths] : [memory, told.memoryLengths];
    const source = memory === undefined ? x : maskFrames(op, memory, seenLengths);
    const headsOf = (name: 'query' | 'key' | 'value', from: Tensor): Tensor =>
      permute(
        reshape(projections[name].apply(params[name], from), [...from.shape.slice(0, 2), heads, width]),
        [0, 2, 1, 3],
      );
    const placed = (t: Tensor): Tensor => (rotary ? rotaryPositions(t) : t);
    const result = attention(placed(headsOf('query', x)), placed(headsOf('key', source)), headsOf('value', source), {
      causal,
      mask: both(mask === undefined ? null : checkMask(op, mask), keyMask(op, seen, seenLengths)),
      ...(random && { dropout, random }),
    });
    const joined = reshape(permute(result, [0, 2, 1, 3]), x.shape);
    return maskFrames(op, projections.output.apply(params.output, joined), lengths);
  };

  return ofKind(op, {
    ...lengthsThrough(op, (length) => length),
    init: (random: Random, placement: InitOptions = {}) => {
      checkInit(op, random, placement);
      return {
        query: projections.query.init(random, placement),
        key: projections.key.init(random, placement),
        value: projections.value.init(random, placement),
        output: projections.output.init(random, placement),
      };
    },
    apply,
  });
}

/** Which keys are within their sequences: [N, 1, 1, S]; null where all are. */
function keyMask(op: string, seen: Tensor, lengths: TensorLike | undefined): Tensor | null {
  if (lengths === undefined) return null;
  const counts = lengthsOf(op, lengths, seen);
  return areFull(counts, seen) ? null : reshape(frameMask(counts, seen), [counts.length, 1, 1, seen.shape[1]!]);
}

const both = (a: Tensor | null, b: Tensor | null): Tensor | undefined =>
  a && b ? logicalAnd(a, b) : (a ?? b ?? undefined);

function checkMask(op: string, mask: unknown): Tensor {
  checkTensor(op, 'mask', mask);
  if (mask.dtype !== 'bool')
    throw new DTypeError(op, `the mask is ${mask.dtype}; it must be bool, true where one may look`);
  return mask;
}

function checkFrames(op: string, what: string, t: Tensor, features: number): void {
  if (t.rank !== 3 || t.shape[2] !== features)
    throw new ShapeError(op, `${what} is ${formatShape(t.shape)}; it must be [N, T, ${features}]`);
}

function checkMemory(
  op: string,
  memory: unknown,
  x: Tensor,
  features: number,
  own: Readonly<Record<string, boolean>>,
): void {
  checkTensor(op, 'memory', memory);
  checkFrames(op, 'the memory', memory, features);
  if (memory.shape[0] !== x.shape[0])
    throw new ShapeError(op, `a memory of ${memory.shape[0]} sequences for ${x.shape[0]} that look at it`);
  for (const [name, isSet] of Object.entries(own))
    if (isSet) throw new ValueError(op, `${name} is about the order of one sequence; a memory is another one`);
}

function checkParts(op: string, params: unknown): void {
  if (!isPlainObject(params))
    throw new ValueError(
      op,
      `the parameters are ${describe(params)}; they must be what init gave: { ${NAMES.join(', ')} }`,
    );
  for (const name of NAMES)
    if (!isPlainObject(params[name]))
      throw new ValueError(op, `the parameters have ${describe(params[name])} as ${name}; it must be { weight, bias }`);
}
