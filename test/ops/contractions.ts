import { einsum, ShapeError, tensor, ValueError, zeros } from 'tapegrad';
import { at, build, broadcastShape, positions, spread, total, type Values } from '../reference.js';
import { exact, int, type OpInfo, type Sample } from './info.js';

/** By the definition: for each index of the result, the sum over all others of the operands' products. */
function summed(equation: string, operands: readonly Values[]): Values {
  const [left, right] = equation.replaceAll(' ', '').split('->') as [string, string?];
  const subscripts = left.split(',');
  // An ellipsis becomes digits, counted from the last axis.
  const spell = (subscript: string, rank: number): string =>
    subscript.replace('...', [...'543210'].slice(6 - (rank - subscript.replace('...', '').length)).join(''));
  const inputs = subscripts.map((subscript, i) => spell(subscript, operands[i]!.shape.length));
  const digits = [...new Set(inputs.join(''))]
    .filter((c) => /\d/.test(c))
    .sort()
    .reverse()
    .join('');
  const once = [...new Set(left.replace(/[^a-zA-Z]/g, ''))]
    .filter((c) => left.split(c).length === 2)
    .sort()
    .join('');
  const output = right === undefined ? digits + once : right.replace('...', digits);
  const letters = [...new Set(inputs.join(''))];
  const lengths = letters.map(
    (letter) =>
      broadcastShape(
        ...inputs.flatMap((input, i) =>
          [...input].flatMap((c, axis) => (c === letter ? [[operands[i]!.shape[axis]!]] : [])),
        ),
      )[0]!,
  );
  const length = (letter: string): number => lengths[letters.indexOf(letter)]!;
  const others = letters.filter((letter) => !output.includes(letter));
  return build([...output].map(length), (place) =>
    total(
      positions(others.map(length)).map((rest) => {
        const index = (letter: string): number =>
          output.includes(letter) ? place[output.indexOf(letter)]! : rest[others.indexOf(letter)]!;
        return operands.reduce((product, operand, i) => product * at(operand, [...inputs[i]!].map(index)), 1);
      }),
    ),
  );
}

const sample = (equation: string, ...shapes: (readonly number[])[]): Sample => ({
  name: `${equation} of ${shapes.map((shape) => `[${shape.join(',')}]`).join(' and ')}`,
  inputs: shapes.map((shape, i) => spread(shape, -1.5, 1.5, i)),
  run: (...operands) => einsum(equation, ...operands),
  want: (...operands) => summed(equation, operands),
});

export const contractionInfo = {
  einsum: {
    samples: [
      sample('ij,jk->ik', [2, 3], [3, 2]),
      sample('ij,jk', [2, 3], [3, 2]),
      sample('ij,kj->ki', [2, 3], [2, 3]),
      sample('bij,bjk->bik', [2, 2, 3], [2, 3, 1]),
      sample('ij->ji', [2, 3]),
      sample('ba', [2, 3]),
      sample('ij->', [2, 3]),
      sample('ij->i', [2, 3]),
      sample('i->', [4]),
      sample('ii->i', [3, 3]),
      sample('ii', [3, 3]),
      sample('iij->j', [2, 2, 3]),
      sample('iii->', [2, 2, 2]),
      sample('i,i->', [4], [4]),
      sample('i,j->ij', [2], [3]),
      sample('ij,ij->ij', [2, 3], [2, 3]),
      sample('ij,i->ij', [2, 3], [2]),
      sample('ij,jk,kl->il', [2, 3], [3, 2], [2, 2]),
      sample('i,ij,j->', [2], [2, 3], [3]),
      sample('a,ab,abc->abc', [2], [2, 2], [2, 2, 2]),
      sample('bhid,bhjd->bhij', [1, 2, 2, 3], [1, 2, 3, 3]),
      sample('...ij,...jk->...ik', [2, 2, 3], [2, 3, 2]),
      sample('...ij,jk', [2, 2, 3], [3, 2]),
      sample('...i,...i->...', [2, 1, 3], [4, 3]),
      sample('i...->...', [3, 2]),
      sample('...ii->...i', [2, 2, 2]),
      sample('...i->i', [2, 3]),
      sample('i, j -> j i', [2], [3]),
      sample('Ij,jK->KI', [2, 3], [3, 2]),
      sample(',i->i', [], [3]),
      sample('->', []),
      sample('ij,jk->ik', [2, 0], [0, 3]),
      sample('ij,jk->ik', [0, 2], [2, 3]),
      { ...sample('abc,cd,bde->ae', [4, 5, 6], [6, 7], [5, 7, 3]), forwardOnly: true },
    ],
    ulps: 16,
    absolute: 2e-6,
    absolute64: 1e-13,
    gradientError: 5e-6,
    storage: 1,
    exact: [
      exact(
        'int32',
        () =>
          einsum(
            'ij,j->i',
            int([
              [1, 2],
              [3, 4],
            ]),
            int([10, 1]),
          ),
        'int32',
        [2],
        [12, 34],
      ),
      exact(
        'bool counts',
        () => einsum('i,i->', tensor([true, true, false]), tensor([true, true, true])),
        'int32',
        [],
        [2],
      ),
      exact('int32 and float64', () => einsum('i,i', int([2]), tensor(new Float64Array([0.5]))), 'float64', [], [1]),
      exact(
        'float16 is computed in float32',
        () => einsum('i,i,i->', ...[2048, 1, 1].map((x) => tensor([x, 1, 1], { dtype: 'float16' }))),
        'float16',
        [],
        [2050],
      ),
    ],
    errors: [
      {
        run: () => einsum('ij,jk->ik', zeros([2, 3]), zeros([4, 2])),
        error: ShapeError,
        message: "[einsum] 'j' is 3 in operand 0 and 4 in operand 1",
      },
      {
        run: () => einsum('ii', zeros([2, 3])),
        error: ShapeError,
        message: "[einsum] 'i' is 2 in operand 0 and 3 in operand 0",
      },
      {
        run: () => einsum('ij->k', zeros([2, 3])),
        error: ValueError,
        message: "[einsum] 'k' of the result is in no operand's",
      },
      { run: () => einsum('ij->ii', zeros([2, 3])), error: ValueError, message: "[einsum] the result names 'i' twice" },
      {
        run: () => einsum('ij', zeros([2, 3, 4])),
        error: ShapeError,
        message: "[einsum] operand 0 is [2, 3, 4], its subscript 'ij' names 2 axes",
      },
      {
        run: () => einsum('...ijk', zeros([2, 3])),
        error: ShapeError,
        message: "[einsum] operand 0 is [2, 3], its subscript '...ijk' names 3 axes beside the ellipsis",
      },
      {
        run: () => einsum('...i,...i', zeros([2, 3]), zeros([4, 3])),
        error: ShapeError,
        message: '[einsum] axis -1 of the ellipsis is 2 in operand 0 and 4 in operand 1',
      },
      {
        run: () => einsum('i1->i', zeros([2, 3])),
        error: ValueError,
        message: "[einsum] 'i1' has '1' in 'i1->i'; subscripts are letters a-z and A-Z, and '...' once",
      },
      { run: () => einsum('i..->i', zeros([2, 3])), error: ValueError, message: "[einsum] 'i..' has '.' in 'i..->i'" },
      {
        run: () => einsum('i->j->k', zeros([2])),
        error: ValueError,
        message: "[einsum] 'i->j->k' has more than one '->'",
      },
      {
        run: () => einsum('i,j', zeros([2])),
        error: ValueError,
        message: "[einsum] 'i,j' has 2 subscripts for 1 operands",
      },
      {
        run: () => einsum(zeros([2]) as never, zeros([2])),
        error: ValueError,
        message: "[einsum] the equation is a tensor of shape [2]; it must be text: 'ij,jk->ik'",
      },
    ],
  },
} satisfies Record<string, OpInfo>;
