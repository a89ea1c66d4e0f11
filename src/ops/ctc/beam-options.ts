import { ValueError } from '../../errors.js';
import { checkNumber, describe } from '../../tensor/arguments.js';
import { fromTypedArray } from '../../tensor/create.js';
import type { Tensor } from '../../tensor/tensor.js';
import type { BeamSizes } from './beam-state.js';
import { checkSteering, type Steering } from './steering/steering.js';

/** How a beam searches: what `beamDecode` and `BeamStream` share. */
export interface SearchOptions {
  /** Prefixes that are followed at a time; 32 by default. */
  readonly width?: number;
  /** What is known about the text beside the scores. */
  readonly steering?: Steering;
  /** Classes a frame that may lengthen a prefix, the likeliest; all by default. */
  readonly topClasses?: number;
  /** Prefixes that lie further than this below the best one, as a logarithm, are dropped; Infinity by default. */
  readonly drop?: number;
  /** Subtracted from the blank's score at every frame; 0 by default. All results are those of the scores so changed. */
  readonly blankPenalty?: number;
}

export const SEARCH_OPTIONS = ['width', 'steering', 'topClasses', 'drop', 'blankPenalty'] as const;

export interface Search {
  readonly sizes: BeamSizes;
  readonly steering: Steering | null;
  /** What is subtracted from every frame's scores, [C]. */
  readonly penalty: Tensor | null;
}

/** Checks how to search among so many classes. */
export function checkSearch(op: string, options: SearchOptions, classes: number, blank: number, horizon = 0): Search {
  const { width = 32, steering, topClasses = classes, drop = Infinity, blankPenalty = 0 } = options;
  checkRange(op, 'width', width, 2 ** 20);
  if (options.topClasses !== undefined) checkRange(op, 'topClasses', topClasses, 2 ** 31 - 1);
  if (typeof drop !== 'number' || !(drop >= 0))
    throw new ValueError(op, `drop is ${describe(drop)}; it must be a number, at least 0`);
  checkNumber(op, 'blankPenalty', blankPenalty);
  if (!Number.isFinite(blankPenalty))
    throw new ValueError(op, `blankPenalty is ${describe(blankPenalty)}; it must be finite`);
  if (steering !== undefined) checkSteering(op, 'steering', steering);
  return {
    sizes: { width, classes, blank, horizon, topClasses, drop },
    steering: steering ?? null,
    penalty: blankPenalty === 0 ? null : penaltyOf(blankPenalty, classes, blank),
  };
}

function checkRange(op: string, what: string, value: unknown, most: number): void {
  if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > most)
    throw new ValueError(op, `${what} is ${describe(value)}; it must be a whole number from 1 to ${most}`);
}

function penaltyOf(blankPenalty: number, classes: number, blank: number): Tensor {
  const row = new Float32Array(classes);
  row[blank] = blankPenalty;
  return fromTypedArray(row, [classes], 'float32');
}
