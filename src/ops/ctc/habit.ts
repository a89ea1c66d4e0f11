import type { CtcProblem } from './options.js';

/**
 * Usual ways to reduce a batch of losses, by the cotangents that they give: 'sum' (or a single loss), 'mean', and 'meanPerLabel', the mean
 * of each loss divided by its target's length; null for any other.
 */
export type Habit = 'sum' | 'mean' | 'meanPerLabel' | null;

const HABITS = ['meanPerLabel', 'mean', 'sum'] as const;

/** The cotangents of the losses under a habit, to the last bit; null for no habit, or the plain ones of a sum. */
export function cotangentsOf(habit: Habit, { batch, targetLengths }: CtcProblem): Float32Array | null {
  if (habit !== 'mean' && habit !== 'meanPerLabel') return null;
  const share = Math.fround(1 / batch);
  const cotangents = new Float32Array(batch).fill(share);
  if (habit === 'meanPerLabel') for (let n = 0; n < batch; n++) cotangents[n] = share / Math.max(targetLengths[n]!, 1);
  return cotangents;
}

/** The habit that cotangents are of. */
export function habitOf(cotangents: Float32Array, problem: CtcProblem): Habit {
  return (
    HABITS.find((habit) =>
      sameNumbers(cotangents, cotangentsOf(habit, problem) ?? new Float32Array(problem.batch).fill(1)),
    ) ?? null
  );
}

export function sameNumbers(a: Float32Array, b: Float32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
