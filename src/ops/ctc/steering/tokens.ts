import { ValueError } from '../../../errors.js';
import { checkArray, checkBoolean, checkNumber, checkOptions, describe } from '../../../tensor/arguments.js';
import { Ngram } from './ngram.js';
import type { Steering } from './steering.js';

/** How a language model counts. */
export interface ModelOptions {
  /** What the model's log-probabilities are multiplied by; 1 by default. */
  readonly weight?: number;
  /** Added for each token or word, so that long texts are not at a disadvantage; 0 by default. */
  readonly bonus?: number;
  /** Whether the model is told that a text begins, and asked what its end is worth; true by default. */
  readonly bos?: boolean;
  readonly eos?: boolean;
}

/** Refuses what is no language model. @internal */
export function checkModel(op: string, model: unknown): void {
  if (!(model instanceof Ngram))
    throw new ValueError(op, `the model is ${describe(model)}; it must be one that ngram has read`);
}

/** Checks what `ModelOptions` are, also where there is no model. @internal */
export function checkModelOptions(op: string, { weight = 1, bonus = 0, bos = true, eos = true }: ModelOptions): void {
  checkNumber(op, 'weight', weight);
  checkNumber(op, 'bonus', bonus);
  if (!(weight >= 0 && weight < Infinity))
    throw new ValueError(op, `weight is ${weight}; it must be finite, and at least 0`);
  if (!Number.isFinite(bonus)) throw new ValueError(op, `bonus is ${bonus}; it must be finite`);
  checkBoolean(op, 'bos', bos);
  checkBoolean(op, 'eos', eos);
}

/** Checks the texts of the labels: class c reads tokens[c]. @internal */
export function checkTokens(op: string, tokens: unknown): asserts tokens is readonly string[] {
  checkArray(op, 'tokens', tokens);
  Array.from(tokens).forEach((token, c) => {
    if (typeof token !== 'string') throw new ValueError(op, `tokens[${c}] is ${describe(token)}; it must be a string`);
  });
}

/** What -Infinity times a weight is: with a weight of 0, what the model forbids stays forbidden. @internal */
export const weigh = (weight: number, logProb: number): number => (logProb === -Infinity ? logProb : weight * logProb);

/**
 * An n-gram model of the labels themselves: characters, phonemes, pieces of words.
 *
 * ```ts
 * const steering = tokenSteering(ngram(arpa), ['', ...'abcdefghijklmnopqrstuvwxyz'], { weight: 0.6, bonus: 0.5 });
 * ```
 * @param tokens for each class the token that the model has for it; the blank's is never looked at. One that the model lacks counts as its word for
 *   unknown ones, and is forbidden where it has none.
 */
export function tokenSteering(model: Ngram, tokens: readonly string[], options: ModelOptions = {}): Steering {
  const op = 'tokenSteering';
  checkOptions(op, options, ['weight', 'bonus', 'bos', 'eos']);
  checkModel(op, model);
  checkModelOptions(op, options);
  checkTokens(op, tokens);
  const { weight = 1, bonus = 0, bos = true, eos = true } = options;
  const ids = Int32Array.from(tokens, (token) => model.idOf(token));
  const most = model.mostOf();
  const most1 = (id: number): number => (id < 0 ? -Infinity : weigh(weight, most[id]!));
  return {
    start: bos ? model.start : model.empty,
    states: model.states,
    step: (state, label) => {
      const id = ids[label] ?? -1;
      return id < 0 ? [-Infinity, 0] : [weigh(weight, model.logProb(state, id)) + bonus, model.after(state, id)];
    },
    finish: (state) => (eos ? weigh(weight, model.end(state)) : 0),
    bound: (label) =>
      label === null ? (eos && model.eos >= 0 ? most1(model.eos) : 0) : most1(ids[label] ?? -1) + bonus,
  };
}
