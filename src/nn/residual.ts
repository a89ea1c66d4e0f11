import { ShapeError } from '../errors.js';
import { add } from '../ops/elementwise.js';
import { checkOptions } from '../tensor/arguments.js';
import { formatShape, sameShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { type AnyStage, checkStage, compose, type Composite, lengthOut, named, type Pass } from './compose.js';
import type { ParamsOf, StateOf } from './layer.js';

/** A layer around which its input goes; parameters and state are the layer's own. */
export type Residual<Inner extends AnyStage> = Composite<Inner, ParamsOf<Inner>, StateOf<Inner>>;

/** The same where the input goes through a layer of its own. */
export type ShortcutResidual<Inner extends AnyStage, Shortcut extends AnyStage> = Composite<
  Inner | Shortcut,
  { inner: ParamsOf<Inner>; shortcut: ParamsOf<Shortcut> },
  { inner: StateOf<Inner>; shortcut: StateOf<Shortcut> }
>;

/**
 * x + layer(x), or shortcut(x) + layer(x). He et al., arXiv:1512.03385.
 *
 * ```ts
 * residual(sequential(layerNorm(64), linear(64, 64)));
 * residual(conv1d(64, 128, 3, { stride: 2, padding: 1 }), { shortcut: conv1d(64, 128, 1, { stride: 2 }) });
 * ```
 * The parameters are the layer's own; with a shortcut they are `{ inner, shortcut }`.
 * @throws {ShapeError} by `apply`, where the two are not of one shape.
 */
export function residual<Inner extends AnyStage>(layer: Inner, options?: { shortcut?: undefined }): Residual<Inner>;
export function residual<Inner extends AnyStage, Shortcut extends AnyStage>(
  layer: Inner,
  options: { shortcut: Shortcut },
): ShortcutResidual<Inner, Shortcut>;
export function residual(layer: AnyStage, options: { shortcut?: AnyStage | undefined } = {}): unknown {
  checkStage('residual', 'the layer', layer);
  checkOptions('residual', options, ['shortcut'], (given) =>
    typeof given === 'function' || (typeof given === 'object' && given !== null && 'apply' in given)
      ? 'several layers are one as sequential(a, b)'
      : null,
  );
  const { shortcut } = options;
  if (shortcut !== undefined) checkStage('residual', 'the shortcut', shortcut);
  const wire = (pass: Pass, x: Tensor): Tensor => {
    const inner = pass.wired(0, x, {});
    const around = shortcut ? pass.wired(1, x, {}) : x;
    if (sameShape(inner.shape, around.shape)) return add(around, inner);
    throw new ShapeError(
      'residual',
      `the layer gives ${formatShape(inner.shape)}, ${shortcut ? 'its shortcut' : 'what goes around it is'} ${formatShape(around.shape)}; they must be of one shape`,
    );
  };
  const outputLength = (length: number): number => lengthOut(layer, length);
  return shortcut
    ? compose({ ...named('residual', { inner: layer, shortcut }), wire, outputLength })
    : compose({
        op: 'residual',
        parts: [['', layer]],
        gather: ([only]) => only,
        read: (_what, tree) => [tree],
        wire,
        outputLength,
      });
}
