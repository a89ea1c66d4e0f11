import type { Backend, Buffer } from '../../backends/backend.js';
import type { TensorLike } from '../../tensor/create.js';
import { type Shape, sameShape } from '../../tensor/shape.js';
import { Tensor } from '../../tensor/tensor.js';
import type { CtcTargets } from './lattice.js';
import type { CtcScores } from './layout.js';
import type { CtcOptions, CtcProblem } from './options.js';

/**
 * A batch whose targets are a tensor. Tensors never change, so what was found out about them, and what a device has been given of them, holds as long as they
 * live: a step that comes again with the same targets and lengths looks at no label. Lengths are compared, as arrays may change.
 */
export class KnownBatch {
  private readonly tensors = new Map<string, Tensor>();

  constructor(
    private readonly shape: Shape,
    readonly problem: Omit<CtcProblem, 'known' | 'logits'>,
    /** Whether the lengths were given, or follow from the scores and the targets. */
    private readonly given: Readonly<Record<'inputLengths' | 'targetLengths', boolean>>,
  ) {}

  isOf(shape: Shape, { frames, batch, classes, blank }: CtcScores, options: CtcOptions): boolean {
    const { problem } = this;
    return (
      frames === problem.frames &&
      batch === problem.batch &&
      classes === problem.classes &&
      blank === problem.blank &&
      sameShape(shape, this.shape) &&
      this.hasLengths('inputLengths', options.inputLengths) &&
      this.hasLengths('targetLengths', options.targetLengths)
    );
  }

  /** A tensor made of the batch, on a device: the one that was made there before, or a new one, which is kept. */
  tensor(name: 'lattice' | 'lengths', device: Backend, make: () => Tensor): Tensor {
    let made = this.tensors.get(name);
    if (made?.device !== device || made.buffer.isMissing) this.tensors.set(name, (made = make()));
    return made;
  }

  private hasLengths(name: 'inputLengths' | 'targetLengths', lengths: TensorLike | undefined): boolean {
    if (lengths === undefined || !this.given[name]) return lengths === undefined && !this.given[name];
    const values = lengths instanceof Tensor ? (lengths.buffer.alive ? lengths.buffer.host : undefined) : lengths;
    return (values instanceof Int32Array || Array.isArray(values)) && sameNumbers(values, this.problem[name]);
  }
}

function sameNumbers(a: ArrayLike<unknown>, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** The batch that each tensor of targets was part of last, by its memory. */
const batches = new WeakMap<Buffer, KnownBatch>();

/** The memory of targets that cannot change; null for others, as for an array that the user holds as well. */
const constantOf = (targets: CtcTargets): Buffer | null =>
  targets instanceof Tensor && targets.buffer.alive && targets.buffer.isHandedOut !== true ? targets.buffer : null;

/** The batch that the same targets were part of the last time, if nothing else has changed either. */
export function recall(targets: CtcTargets, read: CtcScores, options: CtcOptions): KnownBatch | null {
  const buffer = constantOf(targets);
  const known = buffer && batches.get(buffer);
  return known?.isOf((targets as Tensor).shape, read, options) ? known : null;
}

/** Takes note of a batch in which nothing is wrong, for targets that cannot change. */
export function remember(targets: CtcTargets, problem: KnownBatch['problem'], options: CtcOptions): KnownBatch | null {
  const buffer = constantOf(targets);
  if (!buffer) return null;
  const { inputLengths, targetLengths } = problem;
  // Copies: lengths may be another tensor's own array, which may be handed out.
  const own = { ...problem, inputLengths: inputLengths.slice(), targetLengths: targetLengths.slice() };
  const known = new KnownBatch((targets as Tensor).shape, own, {
    inputLengths: options.inputLengths !== undefined,
    targetLengths: options.targetLengths !== undefined,
  });
  batches.set(buffer, known);
  return known;
}
