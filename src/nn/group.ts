import { ValueError } from '../errors.js';
import { checkFunction, checkOptions, describe, isPlainObject } from '../tensor/arguments.js';
import type { Tensor } from '../tensor/tensor.js';
import { type AnyStage, checkStage, compose, type Composite, named } from './compose.js';
import type { ApplyOptions, ParamsOf, StateOf } from './layer.js';

/** Layers by name. */
export type Parts = Readonly<Record<string, AnyStage>>;

/** The parameters of parts by their names, with null where a part has none. */
export type GroupParams<P extends Parts> = { -readonly [K in keyof P]: ParamsOf<P[K]> };

/** The running states of parts by their names, with null where a part has none. */
export type GroupState<P extends Parts> = { -readonly [K in keyof P]: StateOf<P[K]> };

/** Named parts, as a layer: with running state if a part has it. */
export type Group<P extends Parts> = Composite<P[keyof P], GroupParams<P>, GroupState<P>>;

/** What a part takes beside x; parameters, state, randomness and whether this is training come from the group. */
type OptionsOf<Part> = Part extends { apply(params: never, x: Tensor, options?: infer Options): unknown }
  ? Partial<Omit<NonNullable<Options>, 'state' | 'random' | 'training'>>
  : Pick<ApplyOptions, 'lengths'>;

/** The parts of a group as functions. */
export type BoundParts<P extends Parts> = {
  readonly [K in keyof P]: (x: Tensor, options?: OptionsOf<P[K]>) => Tensor;
};

export interface GroupOptions {
  /** How many frames the group gives for `length` frames; needed where a part changes them and the parts are wired by a function. */
  readonly outputLength?: ((length: number) => number) | undefined;
}

/**
 * Layers with names, which are the names in the parameters, in the state and in checkpoints. One after the other in the order in which they are
 * written, unless a function says how they are wired; it gets the parts as functions.
 *
 * ```ts
 * const model = group({ front: conv1d(40, 64, 3), rnn: gru(64, 64), head: linear(64, 10) });
 * const { front, rnn, head } = model.init(random(1));
 *
 * const block = group({ norm: layerNorm(64), inner: linear(64, 64), gate: linear(64, 64) }, ({ norm, inner, gate }, x) => {
 *   const y = norm(x);
 *   return x.add(inner(y).mul(gate(y).sigmoid()));
 * });
 * ```
 * With lengths, parts in their order get them as in `sequential`; parts that are wired get those of the group's input, unless they are given
 * others: `rnn(x, { lengths })`.
 * @throws {ValueError} for names that JavaScript would put in another order, such as '1'.
 */
export function group<const P extends Parts>(
  parts: P,
  wire?: (parts: BoundParts<P>, x: Tensor) => Tensor,
  options: GroupOptions = {},
): Group<P> {
  const given: unknown = parts;
  if (!isPlainObject(given))
    throw new ValueError(
      'group',
      `the parts are ${describe(given)}; they must be an object of layers: { front, head }`,
    );
  const entries = Object.entries(parts);
  for (const [name, part] of entries) {
    checkStage('group', `'${name}'`, part);
    if (name === '' || /^\d+$/.test(name))
      throw new ValueError(
        'group',
        `a part is named '${name}'; a name must not be empty or a number, which has no place`,
      );
  }
  if (wire !== undefined) checkFunction('group', 'the second argument', wire);
  checkOptions('group', options, ['outputLength']);
  const { outputLength } = options;
  if (outputLength !== undefined) checkFunction('group', 'outputLength', outputLength);
  return compose({
    ...named('group', parts),
    wire:
      wire &&
      ((pass, x) =>
        wire(
          Object.fromEntries(
            entries.map(([name], i) => [name, (value: Tensor, told: object = {}) => pass.wired(i, value, told)]),
          ) as BoundParts<P>,
          x,
        )),
    outputLength,
  }) as Group<P>;
}
