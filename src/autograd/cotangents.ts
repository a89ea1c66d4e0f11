import { isFloat } from '../tensor/dtype.js';
import type { Region } from '../tensor/region.js';
import { Tensor } from '../tensor/tensor.js';
import type { Deferred } from './op.js';
import { primitives } from './primitives.js';
import { isRecorded } from './trace.js';

/** What a vjp gives for an input. */
export type Cotangent = Tensor | Deferred;

/**
 * The cotangents of one backward pass, summed up node by node. Every tensor that holds one has a claim on its buffer. A buffer that the pass
 * has made itself (`disposable`) goes back to the memory when its last claim ends, and is added to in place while it has a single one; then it
 * gets a new identity, so that whoever kept the tensor from before meets a RecycledError and never a number that has changed.
 */
export class Cotangents {
  private readonly sums: (Tensor | undefined)[];

  constructor(
    private readonly region: Region,
    count: number,
  ) {
    this.sums = new Array<Tensor | undefined>(count);
  }

  /** Hands over a node's cotangent, with its claim. */
  take(id: number): Tensor | undefined {
    const sum = this.sums[id];
    this.sums[id] = undefined;
    return sum;
  }

  /** Adds to a node's cotangent what has been claimed before; `like` is the tensor whose cotangent it is. */
  add(id: number, like: Tensor, part: Cotangent): void {
    const before = this.sums[id];
    if (!(part instanceof Tensor) && before && part.dtype === like.dtype && !isRecorded(before) && !part.isRecorded) {
      this.sums[id] = this.accumulate(before, part);
      unclaim(part);
      return;
    }
    const own = asCotangent(part, like);
    this.sums[id] = before ? this.sum(before, own) : own;
  }

  /** The sum of two claimed tensors, in place where one of them allows it. */
  private sum(before: Tensor, part: Tensor): Tensor {
    if (isRecorded(before) || isRecorded(part)) {
      // A tape further out is going to want both.
      before.buffer.disposable = part.buffer.disposable = false;
    } else if (isOwn(before) || isOwn(part)) {
      const [target, other] = isOwn(before) ? [before, part] : [part, before];
      const sum = this.accumulate(target, primitives.addend(other));
      unclaim(other);
      return sum;
    }
    const sum = primitives.add(before, part);
    claim(sum);
    unclaim(before);
    unclaim(part);
    return sum;
  }

  /** Adds to a claimed tensor, in place if it is nobody else's; the claim goes over to the result. */
  private accumulate(sum: Tensor, part: Deferred): Tensor {
    let target = sum;
    if (!isOwn(sum)) {
      target = primitives.clone(sum);
      unclaim(sum);
    }
    const buffer = this.region.renew(target.buffer);
    buffer.claims = 1;
    buffer.disposable = true;
    target.buffer.claims = 0;
    part.addTo(buffer);
    return new Tensor(buffer, sum.shape, null, 'add');
  }
}

/** Whether a buffer may be changed: the pass made it, and nothing else lies in it. */
const isOwn = ({ buffer }: Tensor): boolean => buffer.disposable && buffer.claims === 1;

/** A part as a claimed tensor of the dtype of what it belongs to. */
function asCotangent(part: Cotangent, like: Tensor): Tensor {
  const whole = part instanceof Tensor ? part : applied(part);
  const own = isFloat(like.dtype) ? primitives.cast(whole, like.dtype) : whole;
  if (own !== part) {
    claim(own);
    unclaim(part);
  }
  return own;
}

/** An application that was put off. Where a tape further out records it, that tape is going to want what it was applied to. */
function applied(part: Deferred): Tensor {
  if (part.isRecorded) for (const { buffer } of part.inputs) buffer.disposable = false;
  return part.apply();
}

/** Says that a cotangent is wanted. */
export function claim(part: Cotangent): void {
  if (part instanceof Tensor) part.buffer.claims++;
  else for (const { buffer } of part.inputs) buffer.claims++;
}

/** Says that it is not wanted any more. */
export function unclaim(part: Cotangent): void {
  if (part instanceof Tensor) unclaimBuffer(part);
  else part.inputs.forEach(unclaimBuffer);
}

function unclaimBuffer({ buffer }: Tensor): void {
  if (--buffer.claims === 0 && buffer.disposable) buffer.backend.discard(buffer);
}

/** Says that it is the caller's from now on: it stays. */
export function unpin({ buffer }: Tensor): void {
  buffer.claims--;
  buffer.disposable = false;
}
