import { ValueError } from '../errors.js';
import { checkNumber, checkOptions, checkWhole, describe } from '../tensor/arguments.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNonNegative, checkState, countTensor, MOST_COUNT, numberTensor, readCount, readNumber } from './state.js';

export interface PlateauOptions {
  /** Whether a smaller metric is better (a loss), or a larger one (an accuracy); 'min' by default. */
  readonly mode?: 'min' | 'max' | undefined;
  /** What the scale is multiplied with; 0.1 by default. */
  readonly factor?: number | undefined;
  /** Metrics in a row that may be no better than the best; the next one lowers the scale. 10 by default. */
  readonly patience?: number | undefined;
  /** How much better counts as better; 1e-4 by default. */
  readonly threshold?: number | undefined;
  /** Whether the threshold is a share of the best metric, or an amount; 'relative' by default. */
  readonly thresholdMode?: 'relative' | 'absolute' | undefined;
  /** Metrics after a lowering that do not count; 0 by default. */
  readonly cooldown?: number | undefined;
  /** The least scale; 0 by default. */
  readonly floor?: number | undefined;
}

/** All of it scalar tensors on the host, so that it goes into a checkpoint with the rest. */
export interface PlateauState {
  /** Factor on the learning rate: 1 at first. */
  readonly scale: Tensor;
  /** The best metric so far. */
  readonly best: Tensor;
  /** Metrics since then that were no better. */
  readonly bad: Tensor;
  /** Metrics that still do not count. */
  readonly cooldown: Tensor;
}

/** A pure pair of functions, as an optimizer is. */
export interface Plateau {
  init(): PlateauState;
  update(state: PlateauState, metric: number): PlateauState;
}

const NAMES = ['scale', 'best', 'bad', 'cooldown'] as const;

/**
 * Lowers the learning rate when a metric has stopped getting better, as torch's ReduceLROnPlateau does. It multiplies whatever schedule the
 * optimizer has:
 *
 * ```ts
 * let reduction = plateau.init();
 * ({ params, state } = optimizer.update(params, gradients, state, { scale: reduction.scale }));
 * reduction = plateau.update(reduction, validationLoss); // after each epoch
 * ```
 * A metric of NaN is no better than any other. A relative threshold is a share of the best metric's size (torch, for a negative one, would call
 * somewhat worse better).
 */
export function plateau(options: PlateauOptions = {}): Plateau {
  const names = ['mode', 'factor', 'patience', 'threshold', 'thresholdMode', 'cooldown', 'floor'];
  checkOptions('plateau', options, names, (given) =>
    typeof given === 'number' ? `write { patience: ${given} }` : null,
  );
  const { mode = 'min', factor = 0.1, patience = 10, threshold = 1e-4, thresholdMode = 'relative' } = options;
  const { cooldown = 0, floor = 0 } = options;
  checkOneOf('mode', mode, ['min', 'max']);
  checkOneOf('thresholdMode', thresholdMode, ['relative', 'absolute']);
  if (!(typeof factor === 'number' && factor >= 0 && factor < 1))
    throw new ValueError('plateau', `factor is ${describe(factor)}; it must be in [0, 1)`);
  checkWhole('plateau', 'patience', patience, 0, MOST);
  checkWhole('plateau', 'cooldown', cooldown, 0, MOST);
  checkNonNegative('plateau', 'threshold', threshold);
  checkNonNegative('plateau', 'floor', floor);
  const sign = mode === 'min' ? 1 : -1;
  const isBetter = (metric: number, best: number): boolean => {
    if (!Number.isFinite(best)) return sign * metric < sign * best;
    return sign * metric < sign * best - (thresholdMode === 'relative' ? threshold * Math.abs(best) : threshold);
  };
  const pack = (scale: number, best: number, bad: number, wait: number): PlateauState => ({
    scale: numberTensor(scale),
    best: numberTensor(best),
    bad: countTensor(bad),
    cooldown: countTensor(wait),
  });
  return {
    init: () => pack(1, sign * Infinity, 0, 0),
    update: (state, metric) => {
      checkState('plateau', state, NAMES, 'update(state, metric)');
      checkNumber('plateau', 'the metric', metric);
      const scale = readNumber('plateau', 'state.scale', state.scale);
      const best = readNumber('plateau', 'state.best', state.best);
      const waiting = readCount('plateau', 'state.cooldown', state.cooldown);
      const better = isBetter(metric, best);
      const bad = better || waiting > 0 ? 0 : readCount('plateau', 'state.bad', state.bad) + 1;
      const next = better ? metric : best;
      if (bad <= patience) return pack(scale, next, bad, Math.max(0, waiting - 1));
      return pack(Math.min(scale, Math.max(scale * factor, floor)), next, 0, cooldown);
    },
  };
}

/** A count of bad epochs goes one beyond. */
const MOST = MOST_COUNT - 1;

function checkOneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (!allowed.includes(value as string))
    throw new ValueError('plateau', `${name} is ${describe(value)}; it must be '${allowed.join("' or '")}'`);
}
