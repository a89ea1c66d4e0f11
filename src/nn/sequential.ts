import { ValueError } from '../errors.js';
import { describe } from '../tensor/arguments.js';
import { type AnyStage, checkStage, compose, type Composite, type StageParams, type StageStates } from './compose.js';

/** Stages one after the other, as a layer: with running state if a stage has it. */
export type Sequential<Stages extends readonly AnyStage[]> = Composite<
  Stages[number],
  StageParams<Stages>,
  StageStates<Stages>
>;

/**
 * Stages one after the other.
 *
 * ```ts
 * const model = sequential(linear(64, 32), relu, linear(32, 10));
 * const params = model.init(random(1)); // [{ weight, bias }, null, { weight, bias }]
 * ```
 * Lengths are those of the input, [N, T, ...]; every stage is told what the stages before it have made of them, and `outputLengths` gives
 * those of the output. A stage that is a function keeps the frames, or is the last one that looks at them; one that halves them, say,
 * is a layer: `{ init: () => null, apply: (_, x) => halve(x), outputLength: (n) => Math.floor(n / 2) }`.
 *
 * If a stage has running state (`batchNorm`), so has the whole: a list, with null where a stage has none.
 */
export function sequential<const Stages extends readonly AnyStage[]>(...stages: Stages): Sequential<Stages> {
  stages.forEach((stage: unknown, i) => {
    checkStage(
      'sequential',
      `stage ${i}`,
      stage,
      Array.isArray(stage) ? '; stages come one by one: sequential(a, b)' : '',
    );
  });
  return compose({
    op: 'sequential',
    parts: stages.map((stage, i) => [String(i), stage]),
    gather: (values) => [...values],
    read: (what, tree) => {
      if (Array.isArray(tree) && tree.length === stages.length) return tree as readonly unknown[];
      const wanted = what === 'the state' ? 'is %; it must be what initState' : 'are %; they must be what init';
      const got = Array.isArray(tree) ? `a list of ${tree.length}` : describe(tree);
      throw new ValueError('sequential', `${what} ${wanted.replace('%', got)} gave, a list of ${stages.length}`);
    },
  }) as Sequential<Stages>;
}
