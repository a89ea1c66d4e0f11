import { checkOptions, describe } from '../../tensor/arguments.js';
import { ValueError } from '../../errors.js';
import { Tensor } from '../../tensor/tensor.js';

/** Text, or labels: numbers or strings that are compared as wholes. */
export type LabelSequence = string | ArrayLike<number | bigint> | readonly string[];

export interface ErrorRateOptions {
  /** What a string is made of: Unicode code points ('character', the default) or words between white space ('word'). */
  readonly unit?: 'character' | 'word';
}

/** Edits that turn the references into the hypotheses, summed over all pairs. */
export interface ErrorRate {
  /** (substitutions + insertions + deletions) / referenceLength; 0 for nothing against nothing, Infinity for something against nothing. */
  readonly rate: number;
  readonly substitutions: number;
  /** Labels of the hypotheses that no reference label stands for. */
  readonly insertions: number;
  /** Labels of the references that the hypotheses leave out. */
  readonly deletions: number;
  /** Labels in all references together. */
  readonly referenceLength: number;
  /** Pairs without any error. */
  readonly exactMatches: number;
  /** Pairs. */
  readonly pairs: number;
}

/**
 * Character or word error rate (CER, WER) of a corpus: the Levenshtein edits of every pair, summed, over the references' total length
 * (so a long line weighs more than a short one). Where several shortest edits exist, the one with the most substitutions is counted.
 *
 * @param references what was meant, one sequence a pair.
 * @param hypotheses what was read, in the same order.
 * @throws {ValueError} when the two lists differ in length or are not lists of sequences.
 */
export function errorRate(
  references: readonly LabelSequence[],
  hypotheses: readonly LabelSequence[],
  options: ErrorRateOptions = {},
): ErrorRate {
  checkOptions('errorRate', options, ['unit'], (given) => (typeof given === 'string' ? 'write { unit }' : null));
  const { unit = 'character' } = options;
  if (unit !== 'character' && unit !== 'word')
    throw new ValueError('errorRate', `unit is ${describe(unit)}; it must be 'character' or 'word'`);
  if (!Array.isArray(references) || !Array.isArray(hypotheses)) {
    throw new ValueError(
      'errorRate',
      'references and hypotheses must be lists of sequences; put a single pair in lists: errorRate([a], [b])',
    );
  }
  if (references.length !== hypotheses.length) {
    throw new ValueError(
      'errorRate',
      `${references.length} references but ${hypotheses.length} hypotheses; they must come in pairs`,
    );
  }
  let substitutions = 0;
  let insertions = 0;
  let deletions = 0;
  let referenceLength = 0;
  let exactMatches = 0;
  for (const [pair, reference] of (references as readonly LabelSequence[]).entries()) {
    const expected = labelsOf(reference, unit, 'reference', pair);
    const actual = labelsOf(hypotheses[pair] as LabelSequence, unit, 'hypothesis', pair);
    const edits = countEdits(expected, actual);
    substitutions += edits.substitutions;
    insertions += edits.insertions;
    deletions += edits.deletions;
    referenceLength += expected.length;
    if (edits.substitutions + edits.insertions + edits.deletions === 0) exactMatches++;
  }
  const errors = substitutions + insertions + deletions;
  return {
    rate: errors === 0 ? 0 : errors / referenceLength,
    substitutions,
    insertions,
    deletions,
    referenceLength,
    exactMatches,
    pairs: references.length,
  };
}

function labelsOf(
  sequence: LabelSequence,
  unit: 'character' | 'word',
  what: string,
  pair: number,
): ArrayLike<string | number | bigint> {
  if (typeof sequence !== 'string') {
    const isList = Array.isArray(sequence) || (ArrayBuffer.isView(sequence) && !(sequence instanceof DataView));
    if (!isList)
      throw new ValueError(
        'errorRate',
        `${what} ${pair} is ${describe(sequence)}; it must be a string or a list of labels${sequence instanceof Tensor ? ' (write await t.array())' : ''}`,
      );
    return Array.from(sequence as ArrayLike<unknown>, (label, i) => labelOf(label, `${what} ${pair}: label ${i}`));
  }
  return unit === 'character' ? Array.from(sequence) : sequence.split(/\s+/u).filter((word) => word !== '');
}

/** A label as it is compared: 1n and 1 are the same. */
function labelOf(label: unknown, what: string): string | number | bigint {
  if (typeof label === 'bigint') return BigInt(Number(label)) === label ? Number(label) : label;
  if (typeof label === 'string' || (typeof label === 'number' && !Number.isNaN(label))) return label;
  throw new ValueError('errorRate', `${what} is ${describe(label)}; labels are numbers or strings`);
}

/** One edit, in a unit that leaves room below it for the count of insertions and deletions. */
const EDIT = 2 ** 26;

/**
 * Wagner-Fischer over two rows. A cell holds `EDIT * edits + insertions + deletions`, so the minimum is a shortest edit and, among
 * those, the one with the most substitutions; since insertions - deletions is the difference in length, this gives all three counts
 * without walking back. (Packages such as fastest-levenshtein give the distance alone.)
 */
function countEdits(
  reference: ArrayLike<string | number | bigint>,
  hypothesis: ArrayLike<string | number | bigint>,
): Pick<ErrorRate, 'substitutions' | 'insertions' | 'deletions'> {
  const columns = hypothesis.length;
  const row = Float64Array.from({ length: columns + 1 }, (_, j) => j * (EDIT + 1));
  for (let i = 1; i <= reference.length; i++) {
    let diagonal = row[0]!;
    row[0] = i * (EDIT + 1);
    for (let j = 1; j <= columns; j++) {
      const above = row[j]!;
      const replaced = reference[i - 1] === hypothesis[j - 1] ? diagonal : diagonal + EDIT;
      row[j] = Math.min(replaced, above + EDIT + 1, row[j - 1]! + EDIT + 1);
      diagonal = above;
    }
  }
  const best = row[columns]!;
  const shifts = best % EDIT;
  const surplus = columns - reference.length;
  return {
    substitutions: Math.floor(best / EDIT) - shifts,
    insertions: (shifts + surplus) / 2,
    deletions: (shifts - surplus) / 2,
  };
}
