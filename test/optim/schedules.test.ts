import { loadSafetensors, optim, restoreTree, saveSafetensors } from 'tapegrad';

/* The constants are the rates that torch 1.13's schedulers give, step by step. */

const rates = (schedule: optim.Schedule, steps: number): number[] =>
  Array.from({ length: steps }, (_, i) => schedule(i));

function expectRates(schedule: optim.Schedule, expected: readonly number[]): void {
  rates(schedule, expected.length).forEach((rate, i) => {
    expect(Math.abs(rate - expected[i]!)).toBeLessThan(1e-12);
  });
}

describe('schedules', () => {
  test('linear goes from one value to the other', () => {
    expectRates(optim.linear(1, 4, 0.2), [1, 0.8, 0.6, 0.4, 0.2, 0.2]);
    expectRates(optim.linear(0, 2, 1), [0, 0.5, 1, 1]);
    expect(optim.linear(3, 0)(0)).toBe(0);
  });

  test('step falls every so many steps, or at those that are listed', () => {
    expectRates(optim.step(1, 3, 0.5), [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]);
    expectRates(optim.step(1, [2, 5]), [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]);
    expectRates(optim.step(1, []), [1, 1]);
  });

  test('oneCycle, along cosines', () => {
    const expected = [
      0.02, 0.26, 0.5, 0.47524231600673683, 0.40587282697488153, 0.30563101096814466, 0.19437098903185537,
      0.09412917302511849, 0.024759683993263143, 2e-6,
    ];
    expectRates(optim.oneCycle(0.5, 10), expected);
    expect(optim.oneCycle(0.5, 10)(1000)).toBeCloseTo(2e-6, 18);
  });

  test('oneCycle, along lines', () => {
    const schedule = optim.oneCycle(0.5, 7, { rise: 0.4, start: 0.05, end: 0.0005, along: 'linear' });
    expectRates(
      schedule,
      [0.05, 0.3, 0.47621428571428576, 0.3572857142857143, 0.23835714285714282, 0.11942857142857138, 0.0005],
    );
  });

  test.each([
    [1, 0.3],
    [2, 0.3],
    [3, 1],
    [5, 0],
    [4, 1],
  ])('oneCycle over %i steps, rising for %d of them, is finite and ends where it should', (steps, rise) => {
    const all = rates(optim.oneCycle(1, steps, { rise }), steps + 3);
    expect(all.every((rate) => rate >= 0 && rate <= 1)).toBe(true);
    expect(all[steps - 1]).toBeCloseTo(4e-6, 12);
  });

  test('they go together', () => {
    expectRates(optim.warmup(3, optim.linear(1, 2)), [0.25, 0.5, 0.75, 1, 0.5, 0]);
  });

  test.each<[() => unknown, string]>([
    [() => optim.linear(-1, 3), '[linear] start is -1; it must be finite and not negative'],
    [() => optim.linear(1, 3, NaN), '[linear] end is NaN'],
    [() => optim.linear(1, 1.5), '[linear] steps is 1.5; it must be a whole number, not negative'],
    [() => optim.step(1, 0), '[step] every is 0; it must be a whole number, at least 1'],
    [() => optim.step(1, [3, 3]), '[step] every[1] is 3; the steps must rise, and 3 is before it'],
    [() => optim.step(1, [1, -2]), '[step] every[1] is -2; it must be a whole number'],
    [() => optim.step(1, 'x' as never), "[step] every is 'x'; it must be a whole number"],
    [() => optim.oneCycle(1, 0), '[oneCycle] steps is 0; it must be a whole number, at least 1'],
    [() => optim.oneCycle(1, 5, { rise: 2 }), '[oneCycle] rise is 2; it must be in [0, 1]'],
    [() => optim.oneCycle(1, 5, { along: 'x' as never }), "[oneCycle] along is 'x'; it must be 'cosine' or 'linear'"],
    [
      () => optim.oneCycle(1, 5, { pct_start: 1 } as never),
      "[oneCycle] there is no option 'pct_start'; there are rise",
    ],
  ])('bad input %#', (call, message) => {
    expect(call).toThrow(message);
  });
});

const METRICS = [1, 0.9, 0.95, 0.91, 0.90001, 0.8, 0.8, 0.8, 0.8, 0.8, NaN, 0.79995, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7];

function scalesOf(plateau: optim.Plateau, metrics: readonly number[], state = plateau.init()): number[] {
  return metrics.map((metric) => {
    state = plateau.update(state, metric);
    return state.scale.itemSync();
  });
}

describe('plateau', () => {
  test.each<[optim.PlateauOptions, readonly number[]]>([
    [
      { factor: 0.5, patience: 2 },
      [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125, 0.0625, 0.0625, 0.0625, 0.03125],
    ],
    [
      { factor: 0.5, patience: 1, cooldown: 2, floor: 0.2 },
      [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2],
    ],
    [
      { factor: 0.1, patience: 3, mode: 'max', threshold: 0.05, thresholdMode: 'absolute' },
      [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 1e-3, 1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4],
    ],
  ])('%j lowers the rate where torch does', (options, expected) => {
    scalesOf(optim.plateau(options), METRICS).forEach((scale, i) => {
      expect(scale).toBeCloseTo(expected[i]!, 12);
    });
  });

  test('a negative metric has to get better, too', () => {
    const plateau = optim.plateau({ patience: 0, threshold: 0.1 });
    expect(scalesOf(plateau, [-10, -10.5, -12])).toEqual([1, 0.1, 0.1]);
    const rising = optim.plateau({ patience: 0, mode: 'max' });
    expect(scalesOf(rising, [NaN, -Infinity, -3, -2])).toEqual([0.1, 0.1 * 0.1, 0.1 * 0.1, 0.1 * 0.1]);
  });

  test('a floor above the scale does not raise it', () => {
    expect(scalesOf(optim.plateau({ patience: 0, floor: 2 }), [1, 1, 1])).toEqual([1, 1, 1]);
  });

  test('its state comes back from a checkpoint', async () => {
    const plateau = optim.plateau({ factor: 0.5, patience: 2, cooldown: 1 });
    for (const cut of [0, 3, 8]) {
      let state = plateau.init();
      for (const metric of METRICS.slice(0, cut)) state = plateau.update(state, metric);
      const saved = loadSafetensors(await saveSafetensors({ state })).tensors;
      const restored = restoreTree({ state: plateau.init() }, saved).state;
      expect(scalesOf(plateau, METRICS.slice(cut), restored)).toEqual(scalesOf(plateau, METRICS).slice(cut));
    }
  });

  test.each<[() => unknown, string]>([
    [() => optim.plateau({ factor: 1 }), '[plateau] factor is 1; it must be in [0, 1)'],
    [() => optim.plateau({ mode: 'x' as never }), "[plateau] mode is 'x'; it must be 'min' or 'max'"],
    [() => optim.plateau({ patience: -1 }), '[plateau] patience is -1'],
    [() => optim.plateau({ min_lr: 1 } as never), "[plateau] there is no option 'min_lr'; there are mode, factor"],
    [() => optim.plateau().update({} as never, 1), '[plateau] the state is an object; call update(state, metric)'],
    [() => optim.plateau().update(optim.plateau().init(), '1' as never), "[plateau] the metric is '1'"],
  ])('bad input %#', (call, message) => {
    expect(call).toThrow(message);
  });
});
