import { arange, type SliceRange } from 'tapegrad';

/** x[start:stop:step] as Python's slice.indices has it, written from its documentation. */
function python(length: number, start: number | null, stop: number | null, step: number): number[] {
  const lower = step < 0 ? -1 : 0;
  const upper = step < 0 ? length - 1 : length;
  const bound = (value: number): number => (value < 0 ? Math.max(value + length, lower) : Math.min(value, upper));
  const from = start === null ? (step < 0 ? upper : lower) : bound(start);
  const to = stop === null ? (step < 0 ? lower : upper) : bound(stop);
  const found: number[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) found.push(i);
  return found;
}

test('every start, stop and step on axes of length 0 to 5 gives what Python gives', () => {
  const ends = [null, ...Array.from({ length: 15 }, (_, i) => i - 7)];
  const steps = [-7, -3, -2, -1, 1, 2, 3, 7];
  let compared = 0;
  for (let length = 0; length <= 5; length++) {
    const x = arange(length);
    for (const start of ends)
      for (const stop of ends)
        for (const step of steps) {
          const got = x.slice([start, stop, step]).arraySync();
          const want = python(length, start, stop, step);
          if (JSON.stringify(got) !== JSON.stringify(want))
            throw new Error(
              `length ${length}, [${start}, ${stop}, ${step}]: ${JSON.stringify(got)}, Python gives ${JSON.stringify(want)}`,
            );
          compared++;
        }
  }
  expect(compared).toBe(6 * 16 * 16 * 8);
});

test('the oracle itself, on examples that Python printed', () => {
  expect(python(5, null, null, -1)).toEqual([4, 3, 2, 1, 0]);
  expect(python(5, -2, -100, -2)).toEqual([3, 1]);
  expect(python(5, 10, -1, 1)).toEqual([]);
  expect(python(5, -100, 100, 3)).toEqual([0, 3]);
  expect(python(0, null, null, -1)).toEqual([]);
});

test('two axes, picks drop theirs, left-out ones stay whole', () => {
  const x = arange(12).reshape([3, 4]);
  const ranges: [SliceRange[], unknown][] = [
    [
      [],
      [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
      ],
    ],
    [[1], [4, 5, 6, 7]],
    [[-1, -1], 11],
    [
      [
        [0, 2],
        [null, null, -2],
      ],
      [
        [3, 1],
        [7, 5],
      ],
    ],
    [
      [null, 2],
      [2, 6, 10],
    ],
    [[[], []], x.arraySync()],
    [
      [[null, null, 2]],
      [
        [0, 1, 2, 3],
        [8, 9, 10, 11],
      ],
    ],
    [[[5, 9]], []],
  ];
  for (const [range, want] of ranges) expect(x.slice(...range).arraySync()).toEqual(want);
});
