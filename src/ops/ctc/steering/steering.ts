import { ValueError } from '../../../errors.js';
import { describe } from '../../../tensor/arguments.js';

/**
 * What else is known about a text beside what the network has seen: a language model, a lexicon, a grammar, a check digit. It is an automaton over
 * labels that `beamDecode` and `BeamStream` ask for log weights; they count as much as the network's log-probabilities.
 *
 * Answers must depend on nothing but the arguments: they are remembered, and asked for in any order. Text whose digits add up to a multiple of ten:
 *
 * ```ts
 * const checkDigit: Steering = {
 *   start: 0,
 *   step: (sum, label) => [0, (sum + label) % 10],
 *   finish: (sum) => (sum === 0 ? 0 : -Infinity),
 * };
 * ```
 */
export interface Steering {
  /** The state before the first label. States are numbers; what they mean is the steering's own affair. */
  readonly start: number;
  /**
   * What a label is worth in a state: a natural logarithm, 500 at most, -Infinity where it may not come (so is all below -700), and the state after it.
   */
  step(state: number, label: number): readonly [logWeight: number, next: number];
  /** What it is worth that the text ends in a state; 0 when left out. */
  finish?(state: number): number;
  /**
   * The most that a step by this label may gain in any state, and, for null, that `finish` may. With bounds, a beam asks only for what could
   * get into it; without them it asks for everything, and proves nothing once it has dropped a prefix.
   */
  bound?(label: number | null): number;
  /**
   * How many states there are, where they are whole numbers from 0 on: what `together` packs several states by. Of few (65,536 steps in all, 128 classes) all
   * steps are asked for at once, also those that no text comes to; a beam is faster then, and loses less.
   */
  readonly states?: number;
}

/** Refuses what is no steering. @internal */
export function checkSteering(op: string, what: string, value: unknown): asserts value is Steering {
  const { start, step, finish, bound, states } = (typeof value === 'object' && value !== null ? value : {}) as Partial<
    Record<keyof Steering, unknown>
  >;
  if (typeof step !== 'function')
    throw new ValueError(
      op,
      `${what} is ${describe(value)}; it must be an object with 'start' and 'step', as in Steering`,
    );
  if (typeof start !== 'number' || Number.isNaN(start))
    throw new ValueError(op, `${what}.start is ${describe(start)}; it must be a number`);
  for (const [name, member] of Object.entries({ finish, bound }))
    if (member !== undefined && typeof member !== 'function')
      throw new ValueError(op, `${what}.${name} is ${describe(member)}; it must be a function`);
  if (states !== undefined && !(Number.isInteger(states) && (states as number) > 0))
    throw new ValueError(op, `${what}.states is ${describe(states)}; it must be a whole number, at least 1`);
}

/** The most that a label may be worth: a beam's probabilities are float64, and reach 2^256 before they are rescaled. @internal */
export const MOST_GAIN = 500;

/** What a label is worth, checked. @internal */
export function stepOf(op: string, steering: Steering, state: number, label: number): readonly [number, number] {
  const answer: unknown = steering.step(state, label);
  const [weight, next] = (Array.isArray(answer) ? answer : []) as unknown[];
  const isWeight = typeof weight === 'number' && weight <= MOST_GAIN;
  if (isWeight && weight === -Infinity) return FORBIDDEN;
  if (!isWeight || typeof next !== 'number' || Number.isNaN(next))
    throw new ValueError(
      op,
      `the steering's step(${state}, ${label}) is ${Array.isArray(answer) ? `[${answer.map(describe).join(', ')}]` : describe(answer)}; ` +
        `it must be [log weight, next state], a number up to ${MOST_GAIN} and a number`,
    );
  return [weight, next];
}

const FORBIDDEN = [-Infinity, 0] as const;

/** What an end is worth, checked; `most` is its bound. @internal */
export function finishOf(op: string, steering: Steering, state: number, most = boundOf(op, steering, null)): number {
  if (!steering.finish) return 0;
  const weight: unknown = steering.finish(state);
  if (typeof weight !== 'number' || !(weight < Infinity))
    throw new ValueError(
      op,
      `the steering's finish(${state}) is ${describe(weight)}; it must be a number below Infinity`,
    );
  if (isAbove(weight, most))
    throw new ValueError(op, `the steering's finish(${state}) gains ${weight}, more than its bound(null), ${most}`);
  return weight;
}

/** The most that a label may gain, or, for null, the end; Infinity where nothing is known. @internal */
export function boundOf(op: string, steering: Steering, label: number | null): number {
  if (label === null && !steering.finish) return 0;
  if (!steering.bound) return Infinity;
  const most: unknown = steering.bound(label);
  if (typeof most !== 'number' || Number.isNaN(most))
    throw new ValueError(op, `the steering's bound(${label}) is ${describe(most)}; it must be a number`);
  return most;
}

/** What a whole text is worth, its end included. @internal */
export function weightOf(op: string, steering: Steering, labels: Iterable<number>): number {
  let state = steering.start;
  let sum = 0;
  for (const label of labels) {
    const [weight, next] = stepOf(op, steering, state, label);
    if (weight === -Infinity) return weight;
    sum += weight;
    state = next;
  }
  return sum + finishOf(op, steering, state);
}

/** Room for the roundings of a steering's own sums. */
const SLACK = 1e-9;

/** Whether a gain is above its bound by more than roundings. @internal */
export const isAbove = (gain: number, bound: number): boolean => gain > bound + SLACK * (1 + Math.abs(bound));
