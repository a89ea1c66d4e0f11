import { ShapeError, ValueError } from '../errors.js';
import { checkTensors, checkTogether, describe } from '../tensor/arguments.js';
import type { DType } from '../backends/backend.js';
import { isStorage, promote } from '../tensor/dtype.js';
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { sum } from './broadcast.js';
import { cast } from './cast.js';
import { mul } from './elementwise.js';
import { matmul } from './matmul.js';
import { permute, reshape } from './movement/index.js';
import { take } from './gather.js';

/**
 * Sums of products in Einstein's notation. Operands are contracted in pairs, each pair as one (batched) matrix product; which pair is next is the one whose
 * result is smallest beside what it is made of.
 */

/** An operand on its way: one label for each axis, no label twice. Labels are letters; the axes of an ellipsis are '.0', '.1' and so on, from the last. */
interface Term {
  readonly t: Tensor;
  readonly labels: readonly string[];
}

/** A subscript's letters, with null where the ellipsis stands. */
type Subscript = readonly (string | null)[];

function parseSubscript(subscript: string, equation: string): Subscript {
  const parsed: (string | null)[] = [];
  const text = subscript.replaceAll(' ', '');
  for (let i = 0; i < text.length; i++) {
    const letter = text[i]!;
    if (/[a-zA-Z]/.test(letter)) parsed.push(letter);
    else if (text.startsWith('...', i) && !parsed.includes(null)) {
      parsed.push(null);
      i += 2;
    } else
      throw new ValueError(
        'einsum',
        `'${shortened(text)}' has ${describe(letter)} in ${describe(equation)}; subscripts are letters a-z and A-Z, and '...' once`,
      );
  }
  return parsed;
}

interface Equation {
  readonly inputs: readonly Subscript[];
  readonly output: Subscript | null;
}

function parseEquation(equation: unknown, count: number): Equation {
  if (typeof equation !== 'string')
    throw new ValueError('einsum', `the equation is ${describe(equation)}; it must be text: 'ij,jk->ik'`);
  const sides = equation.split('->');
  if (sides.length > 2) throw new ValueError('einsum', `${describe(equation)} has more than one '->'`);
  const inputs = sides[0]!.split(',').map((subscript) => parseSubscript(subscript, equation));
  if (inputs.length !== count)
    throw new ValueError('einsum', `${describe(equation)} has ${inputs.length} subscripts for ${count} operands`);
  return { inputs, output: sides.length === 2 ? parseSubscript(sides[1]!, equation) : null };
}

/** The labels of an operand's axes, an ellipsis spelled out. */
function labelsOf(subscript: Subscript, shape: Shape, i: number): string[] {
  const letters = subscript.filter((label) => label !== null).length;
  const hasEllipsis = letters < subscript.length;
  const rest = shape.length - letters;
  if (rest < 0 || (rest > 0 && !hasEllipsis))
    throw new ShapeError(
      'einsum',
      `operand ${i} is ${formatShape(shape)}, its subscript '${spelled(subscript)}' names ${letters} axes${hasEllipsis ? ' beside the ellipsis' : ''}`,
    );
  return subscript.flatMap((label) => label ?? ellipsis(rest));
}

const ellipsis = (count: number): string[] => Array.from({ length: count }, (_, i) => `.${count - 1 - i}`);
const shortened = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)} ...` : text);
const spelled = (subscript: Subscript): string => shortened(subscript.map((label) => label ?? '...').join(''));

/** The length that each label stands for; of an ellipsis' axes, those of length 1 stretch. */
function lengthsOf(operands: readonly Tensor[], labels: readonly (readonly string[])[]): Map<string, number> {
  const lengths = new Map<string, number>();
  const first = new Map<string, number>();
  labels.forEach((own, i) => {
    own.forEach((label, axis) => {
      const length = operands[i]!.shape[axis]!;
      const known = lengths.get(label);
      const stretches = label.startsWith('.');
      if (known === undefined || (stretches && known === 1)) {
        lengths.set(label, length);
        first.set(label, i);
      } else if (known !== length && !(stretches && length === 1)) {
        const what = stretches ? `axis -${Number(label.slice(1)) + 1} of the ellipsis` : `'${label}'`;
        throw new ShapeError(
          'einsum',
          `${what} is ${known} in operand ${first.get(label)} and ${length} in operand ${i}`,
        );
      }
    });
  });
  return lengths;
}

/** Labels of the result where no output is given: those of the ellipsis, then the letters that occur once, in alphabetical order. */
function implied(labels: readonly (readonly string[])[]): string[] {
  const counts = new Map<string, number>();
  for (const label of labels.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  const letters = [...counts].filter(([label, count]) => count === 1 && !label.startsWith('.')).map(([label]) => label);
  return [...ellipsis(ellipsisRank(labels)), ...letters.sort()];
}

const ellipsisRank = (labels: readonly (readonly string[])[]): number =>
  Math.max(0, ...labels.flat().map((label) => (label.startsWith('.') ? Number(label.slice(1)) + 1 : 0)));

function outputLabels(output: Subscript, labels: readonly (readonly string[])[]): string[] {
  const known = new Set(labels.flat());
  output.forEach((label, i) => {
    if (label !== null && !known.has(label))
      throw new ValueError('einsum', `'${label}' of the result is in no operand's subscript`);
    if (label !== null && output.indexOf(label) !== i)
      throw new ValueError('einsum', `the result names '${label}' twice`);
  });
  return output.flatMap((label) => label ?? ellipsis(ellipsisRank(labels)));
}

/** A label that occurs twice in one operand stands for the diagonal: positions where both axes have the same index. */
function diagonal({ t, labels }: Term): Term {
  const again = labels.findIndex((label, i) => labels.indexOf(label) !== i);
  if (again < 0) return { t, labels };
  const label = labels[again]!;
  const before = labels.indexOf(label);
  const length = t.shape[before]!;
  const others = labels.map((_, i) => i).filter((i) => i !== before && i !== again);
  const rest = others.map((i) => t.shape[i]!);
  const flat = reshape(permute(t, [before, again, ...others]), [length * length, ...rest]);
  const places = Int32Array.from({ length }, (_, i) => i * (length + 1));
  return diagonal({ t: take(flat, places, 0), labels: [label, ...others.map((i) => labels[i]!)] });
}

/** Sums over what neither the result nor another operand has. */
function reduced({ t, labels }: Term, wanted: ReadonlySet<string>): Term {
  const gone = labels.flatMap((label, i) => (wanted.has(label) ? [] : [i]));
  return gone.length === 0 ? { t, labels } : { t: sum(t, gone), labels: labels.filter((label) => wanted.has(label)) };
}

/** Axes of length 1 that stretch, taken out: the other operands have them. */
function unstretched({ t, labels }: Term, lengths: ReadonlyMap<string, number>): Term {
  const kept = labels.map((label, i) => t.shape[i] === lengths.get(label));
  if (kept.every(Boolean)) return { t, labels };
  return {
    t: reshape(
      t,
      t.shape.filter((_, i) => kept[i]),
    ),
    labels: labels.filter((_, i) => kept[i]),
  };
}

const arranged = ({ t, labels }: Term, order: readonly string[]): Tensor =>
  permute(
    t,
    order.map((label) => labels.indexOf(label)),
  );

/** The product of two operands, summed over the labels that are not wanted any more: of matrices, one for each index that both keep. */
function contracted(a: Term, b: Term, wanted: ReadonlySet<string>, lengths: ReadonlyMap<string, number>): Term {
  const [left, right] = [new Set(a.labels), new Set(b.labels)];
  const batch = a.labels.filter((label) => right.has(label) && wanted.has(label));
  const inner = a.labels.filter((label) => right.has(label) && !wanted.has(label));
  const rows = a.labels.filter((label) => !right.has(label));
  const columns = b.labels.filter((label) => !left.has(label));
  const labels = [...batch, ...rows, ...columns];
  const dims = (list: readonly string[]): number[] => list.map((label) => lengths.get(label)!);
  if (inner.length === 0) {
    const x = reshape(arranged(a, [...batch, ...rows]), [...dims(batch), ...dims(rows), ...columns.map(() => 1)]);
    const y = reshape(arranged(b, [...batch, ...columns]), [...dims(batch), ...rows.map(() => 1), ...dims(columns)]);
    return { t: mul(x, y), labels };
  }
  const [batches, m, n, k] = [batch, rows, columns, inner].map((list) => sizeOf(dims(list))) as [
    number,
    number,
    number,
    number,
  ];
  const lead = batch.length > 0 ? [batches] : [];
  const x = reshape(arranged(a, [...batch, ...rows, ...inner]), [...lead, m, k]);
  const y = reshape(arranged(b, [...batch, ...inner, ...columns]), [...lead, k, n]);
  return { t: reshape(matmul(x, y), dims(labels)), labels };
}

/** Which two to contract next: those whose result is smallest beside the two. */
function nextPair(
  terms: readonly Term[],
  output: readonly string[],
  lengths: ReadonlyMap<string, number>,
): [number, number] {
  let best: [number, number] = [0, 1];
  let least = Infinity;
  const size = (labels: Iterable<string>): number =>
    [...labels].reduce((product, label) => product * lengths.get(label)!, 1);
  for (let i = 0; i < terms.length; i++) {
    for (let j = i + 1; j < terms.length; j++) {
      const wanted = wantedBeside(terms, [i, j], output);
      const kept = [...new Set([...terms[i]!.labels, ...terms[j]!.labels])].filter((label) => wanted.has(label));
      const grown = size(kept) - size(terms[i]!.labels) - size(terms[j]!.labels);
      if (grown < least) [best, least] = [[i, j], grown];
    }
  }
  return best;
}

/** Labels of the result and of all operands but some. */
const wantedBeside = (terms: readonly Term[], without: readonly number[], output: readonly string[]): Set<string> =>
  new Set([...output, ...terms.flatMap(({ labels }, i) => (without.includes(i) ? [] : labels))]);

/**
 * Sums of products in Einstein's notation, as NumPy's and torch's `einsum`: a letter for each axis of each operand; what the result does not name is summed
 * over. A letter twice in one operand is its diagonal; `...` are any further axes, which broadcast
 * (and are summed over as well where the result does not name them); without `->` the result has the ellipsis' axes and then
 * the letters that occur once, in alphabetical order. Computed by `matmul`, in pairs.
 *
 * ```ts
 * einsum('bik,bjk->bij', queries, keys); // products of rows
 * einsum('...ii', x); // traces
 * ```
 * @param operands any number of tensors, one by one; they promote to one dtype, bool to int32.
 * @throws {ValueError} for an equation that is none, naming the letter. @throws {ShapeError} where a letter stands for two lengths.
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  checkTensors('einsum', 'operand', operands);
  const { inputs, output } = parseEquation(equation, operands.length);
  for (const operand of operands) checkTogether('einsum', operands[0]!, operand);
  const labels = inputs.map((subscript, i) => labelsOf(subscript, operands[i]!.shape, i));
  const lengths = lengthsOf(operands, labels);
  const result = output ? outputLabels(output, labels) : implied(labels);
  const dtype = operands.map((t): DType => (t.dtype === 'bool' ? 'int32' : t.dtype)).reduce(promote);
  const computed = isStorage(dtype) ? 'float32' : dtype;
  let terms = operands.map((t, i) => unstretched(diagonal({ t: cast(t, computed), labels: labels[i]! }), lengths));
  terms = terms.map((term, i) => reduced(term, wantedBeside(terms, [i], result)));
  while (terms.length > 1) {
    const [i, j] = nextPair(terms, result, lengths);
    const together = contracted(terms[i]!, terms[j]!, wantedBeside(terms, [i, j], result), lengths);
    terms = [...terms.filter((_, at) => at !== i && at !== j), together];
  }
  return cast(arranged(terms[0]!, result), dtype);
}
