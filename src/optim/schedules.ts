import { checkFunction, checkOptions, describe } from '../tensor/arguments.js';
import { ValueError } from '../errors.js';

/** The learning rate of a step, counted from 0. Schedules are plain functions: others than those of this page are a line of code. */
export type Schedule = (step: number) => number;

function checkSteps(op: string, name: string, steps: unknown, least = 0): void {
  if (!Number.isSafeInteger(steps) || (steps as number) < least)
    throw new ValueError(
      op,
      `${name} is ${describe(steps)}; it must be a whole number, ${least === 0 ? 'not negative' : `at least ${least}`}`,
    );
}

function checkRate(op: string, name: string, rate: unknown): void {
  if (!Number.isFinite(rate) || (rate as number) < 0)
    throw new ValueError(op, `${name} is ${describe(rate)}; it must be finite and not negative`);
}

/** From one value to another along half a cosine, `share` of the way. */
const alongCosine = (from: number, to: number, share: number): number =>
  to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;

const alongLine = (from: number, to: number, share: number): number => from + (to - from) * share;

/**
 * From `peak` at step 0 down to `floor` at step `steps` along half a cosine (Loshchilov and Hutter, arXiv:1608.03983), `floor` after that.
 */
export function cosine(peak: number, steps: number, floor = 0): Schedule {
  checkRate('cosine', 'peak', peak);
  checkRate('cosine', 'floor', floor);
  checkSteps('cosine', 'steps', steps);
  return (step) => (step >= steps ? floor : alongCosine(peak, floor, step / steps));
}

/** From `start` at step 0 to `end` at step `steps` in equal parts, down or up, `end` after that. */
export function linear(start: number, steps: number, end = 0): Schedule {
  checkRate('linear', 'start', start);
  checkRate('linear', 'end', end);
  checkSteps('linear', 'steps', steps);
  return (step) => (step >= steps ? end : alongLine(start, end, step / steps));
}

/**
 * `rate`, times `factor` after every so many steps, or at each of the listed steps (torch's StepLR and MultiStepLR).
 *
 * ```ts
 * const rate = step(0.1, [3000, 8000]); // 0.1, from step 3000 on 0.01, from step 8000 on 0.001
 * ```
 * @param every a number of steps, or the steps at which the rate falls, in order. @param factor 0.1 by default.
 */
export function step(rate: number, every: number | readonly number[], factor = 0.1): Schedule {
  checkRate('step', 'rate', rate);
  checkRate('step', 'factor', factor);
  if (!Array.isArray(every)) {
    checkSteps('step', 'every', every, 1);
    return (at) => rate * factor ** Math.floor(at / (every as number));
  }
  const milestones = Array.from(every as readonly unknown[]) as number[];
  milestones.forEach((milestone, i) => {
    checkSteps('step', `every[${i}]`, milestone);
    if (i > 0 && milestone <= milestones[i - 1]!)
      throw new ValueError(
        'step',
        `every[${i}] is ${milestone}; the steps must rise, and ${milestones[i - 1]!} is before it`,
      );
  });
  return (at) => rate * factor ** milestones.filter((milestone) => at >= milestone).length;
}

export interface OneCycleOptions {
  /** Share of the steps in which the rate rises; 0.3 by default. */
  readonly rise?: number | undefined;
  /** Where it begins; peak / 25 by default. */
  readonly start?: number | undefined;
  /** Where it ends; start / 10,000 by default. */
  readonly end?: number | undefined;
  /** How it goes from one to the next; 'cosine' by default. */
  readonly along?: 'cosine' | 'linear' | undefined;
}

/**
 * Up to `peak` and down again, far below the start, within `steps` steps: Smith and Topin, arXiv:1708.07120, with the values of torch's OneCycleLR
 * (which moves the momentum as well; here it stays). The last step, `steps - 1`, has the end's value, and so has what comes after.
 */
export function oneCycle(peak: number, steps: number, options: OneCycleOptions = {}): Schedule {
  checkRate('oneCycle', 'peak', peak);
  checkSteps('oneCycle', 'steps', steps, 1);
  checkOptions('oneCycle', options, ['rise', 'start', 'end', 'along'], (given) =>
    typeof given === 'number' ? `write { rise: ${given} }` : null,
  );
  const { rise = 0.3, start = peak / 25, along = 'cosine' } = options;
  if (!(typeof rise === 'number' && rise >= 0 && rise <= 1))
    throw new ValueError('oneCycle', `rise is ${describe(rise)}; it must be in [0, 1]`);
  checkRate('oneCycle', 'start', start);
  const { end = start / 1e4 } = options;
  checkRate('oneCycle', 'end', end);
  if ((along as unknown) !== 'cosine' && (along as unknown) !== 'linear')
    throw new ValueError('oneCycle', `along is ${describe(along)}; it must be 'cosine' or 'linear'`);
  const between = along === 'cosine' ? alongCosine : alongLine;
  const last = steps - 1;
  const top = Math.max(0, rise * steps - 1);
  return (at) => {
    if (at >= last) return end;
    return at < top ? between(start, peak, at / top) : between(peak, end, (at - top) / (last - top));
  };
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
