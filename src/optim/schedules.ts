import { checkFunction, describe } from '../tensor/arguments.js';
import { ValueError } from '../errors.js';

/** The learning rate of a step, counted from 0. */
export type Schedule = (step: number) => number;

function checkSteps(op: string, name: string, steps: number): void {
  if (!Number.isSafeInteger(steps) || steps < 0)
    throw new ValueError(op, `${name} is ${describe(steps)}; it must be a whole number, not negative`);
}

function checkRate(op: string, name: string, rate: number): void {
  if (!Number.isFinite(rate) || rate < 0)
    throw new ValueError(op, `${name} is ${describe(rate)}; it must be finite and not negative`);
}

/**
 * From `peak` at step 0 down to `floor` at step `steps` along half a cosine (Loshchilov and Hutter, arXiv:1608.03983), `floor` after that.
 */
export function cosine(peak: number, steps: number, floor = 0): Schedule {
  checkRate('cosine', 'peak', peak);
  checkRate('cosine', 'floor', floor);
  checkSteps('cosine', 'steps', steps);
  return (step) => (step >= steps ? floor : floor + ((peak - floor) * (1 + Math.cos((Math.PI * step) / steps))) / 2);
}

/**
 * Rises in equal parts to the value that `then` begins with, reached at step `steps`; `then` follows, its own count starting at 0.
 * The first step already takes one part, so that no step is lost to a rate of 0.
 *
 * ```ts
 * const rate = warmup(20, cosine(8e-3, 3180, 1e-5));
 * ```
 */
export function warmup(steps: number, then: Schedule): Schedule {
  checkSteps('warmup', 'steps', steps);
  checkFunction('warmup', 'then', then);
  return (step) => (step < steps ? (then(0) * (step + 1)) / (steps + 1) : then(step - steps));
}
