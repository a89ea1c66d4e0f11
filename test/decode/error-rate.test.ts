import { errorRate } from '../../src/ops/ctc/error-rate.js';
import { ValueError } from '../../src/errors.js';

describe('errorRate', () => {
  test('counts each kind of edit', () => {
    expect(errorRate(['kitten'], ['sitting'])).toEqual({
      rate: 3 / 6,
      substitutions: 2,
      insertions: 1,
      deletions: 0,
      referenceLength: 6,
      exactMatches: 0,
      pairs: 1,
    });
    expect(errorRate(['abc'], [''])).toMatchObject({ rate: 1, substitutions: 0, insertions: 0, deletions: 3 });
    expect(errorRate(['abcd'], ['xbd'])).toMatchObject({ substitutions: 1, insertions: 0, deletions: 1 });
    expect(errorRate(['ac'], ['abbc'])).toMatchObject({ rate: 1, insertions: 2 });
  });

  test('of the shortest edits the one with most substitutions counts', () => {
    // "ab" to "ba" is two substitutions, or an insertion and a deletion.
    expect(errorRate(['ab'], ['ba'])).toMatchObject({ substitutions: 2, insertions: 0, deletions: 0 });
  });

  test('a corpus is weighed by length, not averaged by line', () => {
    const result = errorRate(['a', 'bbbbbbbbb'], ['x', 'bbbbbbbbb']);
    expect(result.rate).toBeCloseTo(0.1, 12);
    expect(result).toMatchObject({ exactMatches: 1, pairs: 2, referenceLength: 10 });
  });

  test('words', () => {
    expect(errorRate(['the cat  sat'], [' the bat sat down'], { unit: 'word' })).toMatchObject({
      rate: 2 / 3,
      substitutions: 1,
      insertions: 1,
      referenceLength: 3,
    });
    expect(errorRate(['a  b'], ['a b'], { unit: 'word' }).exactMatches).toBe(1);
  });

  test('labels: arrays, typed arrays, and both against each other', () => {
    expect(errorRate([[1, 2, 300]], [Int32Array.of(1, 300)])).toMatchObject({ deletions: 1, referenceLength: 3 });
    expect(errorRate([['ch', 'a']], [['c', 'h', 'a']])).toMatchObject({ substitutions: 1, insertions: 1 });
  });

  test('characters are code points', () => {
    expect(errorRate(['a\u{1F600}'], ['a\u{1F601}'])).toMatchObject({ substitutions: 1, referenceLength: 2 });
  });

  test('nothing against nothing, and something against nothing', () => {
    expect(errorRate([], [])).toMatchObject({ rate: 0, pairs: 0 });
    expect(errorRate([''], [''])).toMatchObject({ rate: 0, exactMatches: 1 });
    expect(errorRate([''], ['ab'])).toMatchObject({ rate: Infinity, insertions: 2 });
  });

  test('agrees with a search over all edits', () => {
    let seed = 7;
    const draw = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
    const word = (): number[] => Array.from({ length: draw(6) }, () => draw(3));
    // The plain recursion over the last labels, exponential but beyond doubt.
    const search = (a: number[], b: number[]): [number, number] => {
      if (a.length === 0 || b.length === 0) return [a.length + b.length, a.length + b.length];
      const same = a.at(-1) === b.at(-1) ? 0 : 1;
      const options = [
        [search(a.slice(0, -1), b.slice(0, -1)), same, 0],
        [search(a.slice(0, -1), b), 1, 1],
        [search(a, b.slice(0, -1)), 1, 1],
      ].map(
        ([rest, edit, shift]) =>
          [(rest as number[])[0]! + (edit as number), (rest as number[])[1]! + (shift as number)] as [number, number],
      );
      return options.sort((x, y) => x[0] - y[0] || x[1] - y[1])[0]!;
    };
    for (let i = 0; i < 60; i++) {
      const [a, b] = [word(), word()];
      const [edits, shifts] = search(a, b);
      const { substitutions, insertions, deletions } = errorRate([a], [b]);
      expect([substitutions + insertions + deletions, insertions + deletions]).toEqual([edits, shifts]);
      expect(insertions - deletions).toBe(b.length - a.length);
    }
  });

  test('bad input', () => {
    expect(() => errorRate(['a'], [])).toThrow(ValueError);
    expect(() => errorRate(['a'], [])).toThrow('[errorRate] 1 references but 0 hypotheses');
    expect(() => errorRate('ab' as unknown as string[], ['ab'])).toThrow('put a single pair in lists');
    expect(() => errorRate(['a', 3 as unknown as string], ['a', 'b'])).toThrow('reference 1 is 3');
    expect(() => errorRate(['a'], [undefined as unknown as string])).toThrow('hypothesis 0 is undefined');
    expect(() => errorRate(['a'], ['a'], { unit: 'letter' as 'word' })).toThrow("unit is 'letter'");
  });
});
