import { ValueError } from '../errors.js';
import { checkOptions, describe, isPlainObject, onBehalfOf } from '../tensor/arguments.js';
import { zeros } from '../tensor/create.js';
import { checkDType } from '../tensor/dtype.js';
import type { DType } from '../backends/backend.js';
import { random } from '../tensor/random.js';
import { scope } from '../tensor/scope.js';
import { checkShape, formatShape, type Shape } from '../tensor/shape.js';
import { mapTensors, tensorsOf } from '../tensor/tree.js';
import { type AnyStage, type Told, WATCH, type Watch } from './compose.js';
import { type AnyLayer, kindOf } from './layer.js';

export interface SummaryOptions {
  /** Of the input that is made up; float32 by default, 'int32' for a model that begins with an embedding. */
  readonly dtype?: DType | undefined;
}

type Line = readonly string[];

/**
 * A table, as text. Of parameters (any tree of tensors): every tensor's name, shape and number of elements. Of a model and the shape of an input: its
 * layers with the shape of what they give, and a line for each of their parameters; the model is applied to zeros for that.
 *
 * ```ts
 * console.log(summary(model, [1, 100, 40]));
 * console.log(summary(params));
 * ```
 */
export function summary(model: AnyLayer, shape: Shape, options?: SummaryOptions): string;
export function summary(params: unknown): string;
export function summary(given: unknown, shape?: Shape, options: SummaryOptions = {}): string {
  checkOptions('summary', options, ['dtype']);
  if (!isLayer(given)) {
    if (shape !== undefined)
      throw new ValueError('summary', `an input shape goes with a model; got ${describe(given)} and a shape`);
    return ofParameters(given);
  }
  if (shape === undefined)
    throw new ValueError('summary', 'a model comes with the shape of an input: summary(model, [N, T, features])');
  checkShape('summary', shape);
  const { dtype = 'float32' } = options;
  checkDType('summary', dtype);
  return ofModel(given, shape, dtype);
}

const isLayer = (value: unknown): value is AnyLayer =>
  isPlainObject(value) && typeof value.init === 'function' && typeof value.apply === 'function';

const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',');
const countOf = (tree: unknown): number =>
  onBehalfOf('summary', 'the parameters', () => tensorsOf(tree)).reduce((sum, t) => sum + t.size, 0);

function ofParameters(tree: unknown): string {
  const lines: Line[] = [];
  mapTensors((t, path) => {
    lines.push([nameAt(path), t.dtype + formatShape(t.shape), grouped(t.size)]);
  }, tree);
  return table(['name', 'shape', 'count'], lines, ['total', '', grouped(countOf(tree))]);
}

function ofModel(model: AnyLayer, shape: Shape, dtype: DType): string {
  const params = model.init(random(0));
  const watch: Watch = { path: '', seen: [] };
  const options: Told = { [WATCH]: watch };
  const output = scope(() => {
    const x = zeros(shape, { dtype });
    return model.initState
      ? model.apply(params, x, { ...options, state: model.initState(), training: false }).shape
      : model.apply(params, x, options).shape;
  });
  const stages = watch.seen.length > 0 ? watch.seen : [{ path: '', stage: model, params, shape: output }];
  const lines = stages.flatMap(({ path, stage, params: own, shape: given }): Line[] => {
    const about = [path, nameOf(stage), formatShape(given)];
    const tensors: Line[] = [];
    mapTensors((t, at) => {
      const before = tensors.length === 0 ? about : about.map(() => '');
      tensors.push([...before, nameAt(at), formatShape(t.shape), grouped(t.size)]);
    }, own);
    return tensors.length > 0 ? tensors : [[...about, '', '', '0']];
  });
  const total = ['total', '', formatShape(output), '', '', grouped(countOf(params))];
  return table(['layer', 'kind', 'output', 'parameter', 'shape', 'count'], lines, total);
}

/** A place in a tree as checkpoints name it. */
const nameAt = (path: string): string => path.replace(/\[(\d+)\]/g, '.$1').replace(/^\./, '');

const nameOf = (stage: AnyStage): string =>
  typeof stage === 'function' ? stage.name || 'function' : (kindOf(stage) ?? 'layer');

/** Columns as wide as they must be; numbers, which come last, are flush right. */
function table(head: Line, lines: readonly Line[], foot: Line): string {
  const widths = head.map((_, i) => Math.max(...[head, ...lines, foot].map((line) => line[i]!.length)));
  const write = (line: Line): string =>
    line
      .map((cell, i) => (i === line.length - 1 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  const rule = '-'.repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  return [write(head), rule, ...lines.map(write), rule, write(foot)].join('\n');
}
