import { FormatError, ValueError } from '../errors.js';
import { permute, reshape, slice } from '../ops/movement/index.js';
import { checkArray, checkOptions, checkTensor, describe, isPlainObject } from '../tensor/arguments.js';
import { zeros } from '../tensor/create.js';
import { formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';

/** What nothing in a state_dict tells apart, by the names of modules. */
export interface FromTorchOptions {
  /** Embeddings: `['tokens']`. By its tensors, one is a linear layer without bias. */
  readonly embeddings?: readonly string[] | undefined;
  /** Transposed convolutions, each with its number of groups: `{ 'decoder.up': 1 }`. */
  readonly transposed?: Readonly<Record<string, number>> | undefined;
}

/** A torch model's tensors under the names and in the layouts of `nn`'s layers. */
export interface FromTorch {
  /** For `restoreTree(model.init(random), params)`. */
  readonly params: Readonly<Record<string, Tensor>>;
  /** Running statistics, for `restoreTree(model.initState(), state)`. */
  readonly state: Readonly<Record<string, Tensor>>;
}

const OP = 'fromTorch';

/**
 * Turns the tensors of a torch state_dict, as safetensors holds them, into those of the same layers here. The names of modules stay (`restoreTree` can
 * `rename` them); what is inside goes like this:
 *
 * | torch | here |
 * |---|---|
 * | Linear, norms: `weight`, `bias` | the same |
 * | Embedding (see `embeddings`): `weight` | `table` |
 * | Conv1d `weight` [out, in, k], Conv2d [out, in, kh, kw] | [out, k, in], [out, kh, kw, in] |
 * | ConvTranspose1d, 2d (see `transposed`) `weight` [in, out, k...] | [out, k..., in] |
 * | GRU, LSTM, GRUCell, LSTMCell: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0` | `forward.weightInput`, `forward.weightHidden`, `forward.biasInput`, `forward.biasHidden`; the gates have the same order |
 * | `..._l0_reverse` | `backward. ...` |
 * | `..._l1` of several layers | `layers.1.forward. ...`, and `layers.0` for the first |
 * | MultiheadAttention `in_proj_weight` (or `q_proj_weight`, ...), `out_proj` | `query`, `key`, `value`, `output`, each with `weight` and `bias` |
 * | BatchNorm `running_mean`, `running_var` | `mean`, `variance` of the state |
 *
 * Recurrent layers without biases get biases of 0. `num_batches_tracked` is left out.
 *
 * ```ts
 * const { params, state } = fromTorch(loadSafetensors(bytes).tensors);
 * const restored = restoreTree(model.init(random(1)), params);
 * ```
 * @throws {FormatError} for parameters that have no counterpart here, such as the projection of an LSTM; the message names them.
 */
export function fromTorch(tensors: Readonly<Record<string, Tensor>>, options: FromTorchOptions = {}): FromTorch {
  if (!isPlainObject(tensors))
    throw new ValueError(
      OP,
      `the tensors are ${describe(tensors)}; they must be an object of tensors by name, as in loadSafetensors(bytes).tensors`,
    );
  checkOptions(OP, options, ['embeddings', 'transposed']);
  const { embeddings = [], transposed = {} } = options;
  checkArray(OP, 'embeddings', embeddings);
  for (const name of embeddings) checkModule('embeddings', name, tensors);
  checkTransposed(transposed, tensors);
  const groupsOf = new Map(Object.entries(transposed));
  for (const [name, tensor] of Object.entries(tensors)) checkTensor(OP, `'${name}'`, tensor);

  const params = new Map<string, Tensor>();
  const state = new Map<string, Tensor>();
  for (const [name, tensor] of Object.entries(tensors)) {
    const at = name.lastIndexOf('.') + 1;
    const [module, own] = [name.slice(0, at), name.slice(at)];
    const put = (path: string, value: Tensor): unknown => params.set(module + path, value);
    const statistic = STATE.get(own);
    if (statistic) state.set(module + statistic, tensor);
    else if (own === 'num_batches_tracked') continue;
    else if (FOREIGN.test(own))
      throw new FormatError(
        OP,
        `'${name}' has no counterpart in the layers of nn; leave it out, or make it part of the others`,
      );
    else if (RECURRENT.test(own)) addRecurrent(tensors, name, module, own, put);
    else if (PROJECTION.test(own)) addProjection(name, own, tensor, put);
    else if (own === 'weight' && embeddings.includes(module.slice(0, -1))) put('table', tensor);
    else if (own === 'weight' && tensor.rank > 2) {
      const groups = groupsOf.get(module.slice(0, -1));
      put(own, groups === undefined ? channelsLast(tensor) : transposedLast(name, tensor, groups));
    } else params.set(renamedOutput(tensors, module) + own, tensor);
  }
  return { params: Object.fromEntries(params), state: Object.fromEntries(state) };
}

const STATE: ReadonlyMap<string, string> = new Map([
  ['running_mean', 'mean'],
  ['running_var', 'variance'],
]);

/** Projections of LSTMs, what attention adds to keys and values, weights in the parts of a normalisation of theirs. */
const FOREIGN = /^(weight_hr_l\d+(_reverse)?|bias_[kv]|weight_[gv])$/;

const RECURRENT = /^(weight|bias)_(ih|hh)(?:_l(\d+)(_reverse)?)?$/;

const PROJECTION = /^(?:in_proj_(weight|bias)|([qkv])_proj_weight)$/;

/** [out, in, k...] to [out, k..., in]. */
const channelsLast = (weight: Tensor): Tensor =>
  permute(weight, [0, ...Array.from({ length: weight.rank - 2 }, (_, i) => i + 2), 1]);

/** [in, out / groups, k...] to [out, k..., in / groups]. */
function transposedLast(name: string, weight: Tensor, groups: number): Tensor {
  const [channels, out, ...window] = weight.shape as [number, number, ...number[]];
  if (channels % groups !== 0)
    throw new FormatError(
      OP,
      `'${name}' is ${formatShape(weight.shape)}; ${channels} channels do not make ${groups} groups`,
    );
  const grouped = reshape(weight, [groups, channels / groups, out, ...window]);
  const moved = permute(grouped, [0, 2, ...window.map((_, i) => i + 3), 1]);
  return reshape(moved, [groups * out, ...window, channels / groups]);
}

type Put = (path: string, value: Tensor) => unknown;

function addRecurrent(
  tensors: Readonly<Record<string, Tensor>>,
  name: string,
  module: string,
  own: string,
  put: Put,
): void {
  const [, kind, from, layer, reverse] = RECURRENT.exec(own)!;
  const isStacked = `${module}weight_ih_l1` in tensors;
  const place = `${isStacked ? `layers.${layer!}.` : ''}${reverse ? 'backward' : 'forward'}.`;
  const end = from === 'ih' ? 'Input' : 'Hidden';
  const tensor = tensors[name]!;
  put(`${place}${kind!}${end}`, tensor);
  const { dtype } = tensor;
  if (kind === 'weight' && !(name.replace(/weight_(?=[^.]*$)/, 'bias_') in tensors))
    put(`${place}bias${end}`, zeros([tensor.shape[0]!], { dtype, device: tensor.device }));
}

/** The products of attention, which torch keeps one below the other where they have the same width. */
function addProjection(name: string, own: string, tensor: Tensor, put: Put): void {
  const [, kind, letter] = PROJECTION.exec(own)!;
  const names = ['query', 'key', 'value'];
  if (letter !== undefined) {
    put(`${names['qkv'.indexOf(letter)]!}.weight`, tensor);
    return;
  }
  const rows = tensor.shape[0]! / 3;
  if (!Number.isInteger(rows))
    throw new FormatError(OP, `'${name}' is ${formatShape(tensor.shape)}; its rows do not make query, key and value`);
  names.forEach((part, i) => put(`${part}.${kind!}`, slice(tensor, [i * rows, (i + 1) * rows])));
}

/** What attention calls out_proj is output here; anything else of that name keeps it. */
function renamedOutput(tensors: object, module: string): string {
  const outer = module.replace(/out_proj\.$/, '');
  const isAttention = outer !== module && (`${outer}in_proj_weight` in tensors || `${outer}q_proj_weight` in tensors);
  return isAttention ? `${outer}output.` : module;
}

function checkTransposed(transposed: unknown, tensors: object): asserts transposed is Readonly<Record<string, number>> {
  if (!isPlainObject(transposed))
    throw new ValueError(
      OP,
      `transposed is ${describe(transposed)}; it must be the groups of transposed convolutions by name: { 'decoder.up': 1 }`,
    );
  for (const [name, groups] of Object.entries(transposed)) {
    if (!Number.isInteger(groups) || (groups as number) < 1)
      throw new ValueError(
        OP,
        `transposed has ${describe(groups)} groups for '${name}'; it must be a number of groups`,
      );
    checkModule('transposed', name, tensors);
  }
}

function checkModule(option: string, name: unknown, tensors: object): void {
  if (typeof name !== 'string' || !Object.hasOwn(tensors, `${name}.weight`))
    throw new ValueError(OP, `${option} names ${describe(name)}, but there is no tensor of that name and '.weight'`);
}
