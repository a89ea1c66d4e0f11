import {
  audio,
  DTypeError,
  grad,
  gradCheck,
  ones,
  random,
  type Random,
  ShapeError,
  tensor,
  type Tensor,
  ValueError,
  zeros,
} from 'tapegrad';

const features = (...shape: number[]): Tensor => random(5).normal(shape, { dtype: 'float64' });

describe('specAugment', () => {
  /** Rows and columns of [T, F] that are covered whole, and whether anything else is. */
  function coveredOf(x: Tensor): { rows: number[]; columns: number[]; others: number } {
    const cells = x.arraySync<number[][]>();
    const rows = cells.flatMap((row, t) => (row.every((v) => v === 0) ? [t] : []));
    const columns = cells[0]!.flatMap((_, f) => (cells.every((row) => row[f] === 0) ? [f] : []));
    const others = cells.flatMap((row, t) =>
      row.filter((v, f) => v === 0 && !rows.includes(t) && !columns.includes(f)),
    ).length;
    return { rows, columns, others };
  }
  const runs = (places: number[]): number => places.filter((place, i) => place !== places[i - 1]! + 1).length;

  test('covers whole bins and whole frames, as many and as wide as is asked for', () => {
    const source = random(1);
    const [rows, columns] = [new Set<number>(), new Set<number>()];
    for (let trial = 0; trial < 300; trial++) {
      const options = { frequencyMasks: 2, frequencyWidth: 3, timeMasks: 1, timeWidth: 4 };
      const covered = coveredOf(audio.specAugment(ones([40, 16]), source, options));
      expect(covered.others).toBe(0);
      expect(covered.columns.length).toBeLessThanOrEqual(6);
      expect(runs(covered.columns)).toBeLessThanOrEqual(2);
      expect(covered.rows.length).toBeLessThanOrEqual(4);
      expect(runs(covered.rows)).toBeLessThanOrEqual(1);
      covered.rows.forEach((row) => rows.add(row));
      covered.columns.forEach((column) => columns.add(column));
    }
    // Every place gets its turn, the ends as well.
    expect([rows.size, columns.size]).toEqual([40, 16]);
  });

  test('widths are drawn evenly from 0 to the most', () => {
    const source = random(2);
    const counts = [0, 0, 0, 0];
    for (let trial = 0; trial < 4000; trial++) {
      const options = { frequencyMasks: 1, frequencyWidth: 3, timeMasks: 0 };
      counts[coveredOf(audio.specAugment(ones([1, 8]), source, options)).columns.length]!++;
    }
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  test('what is not covered stays as it is; what is gets the value', () => {
    const x = features(30, 10);
    const y = audio.specAugment(x, random(3), { value: -7, timeWidth: 10, timeShare: 1 });
    const [before, after] = [x.dataSync(), y.dataSync()];
    expect(y.dtype).toBe('float64');
    expect(after.some((v) => v === -7)).toBe(true);
    after.forEach((v, i) => {
      if (v !== -7) expect(v).toBe(before[i]);
    });
  });

  test('no mask along the time covers more than a share of the clip, and none lies beyond it', () => {
    const source = random(4);
    const lengths = [50, 20, 3, 0];
    for (let trial = 0; trial < 100; trial++) {
      const x = audio.specAugment(ones([4, 50, 4]), source, {
        frequencyMasks: 0,
        timeMasks: 1,
        timeShare: 0.25,
        lengths,
      });
      x.arraySync<number[][][]>().forEach((clip, n) => {
        const rows = clip.flatMap((row, t) => (row[0] === 0 ? [t] : []));
        expect(rows.length).toBeLessThanOrEqual(0.25 * lengths[n]!);
        for (const t of rows) expect(t).toBeLessThan(lengths[n]!);
      });
    }
  });

  test('sequences of a batch have masks of their own; the seed decides', () => {
    const draw = (seed: number): number[][][] =>
      audio.specAugment(ones([2, 30, 12]), random(seed)).arraySync<number[][][]>();
    const [first, second] = draw(1);
    expect(first).not.toEqual(second);
    expect(draw(1)).toEqual([first, second]);
    expect(draw(2)).not.toEqual([first, second]);
  });

  test('a mask hides its place from the gradient, NaN as well', () => {
    const x = tensor([[NaN, NaN, NaN, NaN]]);
    const options = { frequencyMasks: 4, frequencyWidth: 4, timeMasks: 0 };
    const hide = (t: Tensor): Tensor => audio.specAugment(t, random(9), options);
    const covered = hide(x)
      .arraySync<number[][]>()[0]!
      .map((v) => v === 0);
    expect(covered).toContain(true);
    const slopes = grad((t: Tensor) => hide(t).mul(3).sum())(x).arraySync<number[][]>()[0]!;
    expect(slopes).toEqual(covered.map((hidden) => (hidden ? 0 : 3)));
    gradCheck((t) => audio.specAugment(t, random(1)).square(), [features(12, 6)], { order: 2 });
  });

  test.each<[unknown[], new (...given: never[]) => Error, string]>([
    [[zeros([3]), random(1)], ShapeError, 'features is [3]; it must be [..., T, F]'],
    [[zeros([1, 1, 2, 3]), random(1)], ShapeError, 'it must be [T, F] or [N, T, F]'],
    [[zeros([2, 3], { dtype: 'int32' }), random(1)], DTypeError, 'features is int32'],
    [[zeros([2, 3]), random(1), { timeMasks: -1 }], ValueError, 'timeMasks is -1'],
    [[zeros([2, 3]), random(1), { frequencyWidth: 0.5 }], ValueError, 'frequencyWidth is 0.5'],
    [[zeros([2, 3]), random(1), { timeShare: 2 }], ValueError, 'timeShare is 2'],
    [[zeros([2, 3]), random(1), { lengths: [1, 2] }], ShapeError, 'there are 2 lengths for 1 sequence'],
    [[zeros([2, 2, 3]), random(1), { lengths: [1, 3] }], ValueError, 'the length of sequence 1 is 3'],
    [[zeros([2, 3]), random(1), { timeWarp: 1 }], ValueError, "there is no option 'timeWarp'"],
  ])('%# is refused', (given, kind, message) => {
    const source = given[1] as Random;
    const before = source.state;
    const call = (): unknown => (audio.specAugment as (...g: unknown[]) => unknown)(...given);
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
    expect(source.state).toEqual(before); // nothing is drawn for a call that is refused
  });
});

describe('timeStretch', () => {
  test.each([
    [5, 1.5, 8],
    [5, 0.5, 3],
    [10, 1.04, 10],
    [1, 3, 3],
    [7, 0.01, 1],
  ])('%d frames by %d are %d, each at its place among the old ones', (length, factor, count) => {
    const x = features(length, 3);
    const rows = x.arraySync<number[][]>();
    const y = audio.timeStretch(x, factor);
    expect(y.shape).toEqual([count, 3]);
    y.arraySync<number[][]>().forEach((row, t) => {
      const at = Math.min(Math.max(((t + 0.5) * length) / count - 0.5, 0), length - 1);
      const [low, share] = [Math.floor(at), at - Math.floor(at)];
      row.forEach((v, f) => {
        expect(v).toBeCloseTo((1 - share) * rows[low]![f]! + share * (rows[low + 1]?.[f] ?? 0), 12);
      });
    });
  });

  test('ramps stay ramps, batches go together, and gradients come back', () => {
    const ramp = tensor(
      Float64Array.from({ length: 40 }, (_, t) => t),
      { shape: [40, 1] },
    );
    const inner = audio.timeStretch(ramp, 1.25).arraySync<number[][]>().flat().slice(1, -1);
    inner.forEach((v, i) => {
      expect(v).toBeCloseTo((i + 1.5) * 0.8 - 0.5, 12);
    });
    const batch = features(2, 9, 3);
    expect(audio.timeStretch(batch, 0.7).slice(1).arraySync()).toEqual(
      audio.timeStretch(batch.slice(1), 0.7).arraySync(),
    );
    gradCheck((t) => audio.timeStretch(t, 1.3).sin(), [features(6, 2)], { order: 2 });
    expect(audio.timeStretch(batch.cast('float32'), 2).dtype).toBe('float32');
  });

  test.each<[unknown[], new (...given: never[]) => Error, string]>([
    [[zeros([3]), 1.1], ShapeError, 'features is [3]'],
    [[zeros([0, 3]), 1.1], ShapeError, 'there are no frames'],
    [[zeros([2, 3]), 0], ValueError, 'factor is 0'],
    [[zeros([2, 3]), NaN], ValueError, 'factor is NaN'],
    [[zeros([2, 3]), 1e12], ValueError, 'too many'],
    [[zeros([2, 3], { dtype: 'int32' }), 1.1], DTypeError, 'features is int32'],
  ])('%# is refused', (given, kind, message) => {
    const call = (): unknown => (audio.timeStretch as (...g: unknown[]) => unknown)(...given);
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });
});
