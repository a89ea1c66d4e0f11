/** Whole sequences through recurrent cells on a GPU, beside the CPU in float64: sizes on both sides of what decides how they are launched. */
import { concat, full, random, tensor, type Tensor, vjp } from 'tapegrad';
import type { Backend } from '../../src/backends/backend.js';
import { recurrentLimits } from '../../src/backends/gpu/recurrent.js';
import { gruStates, lstmStates } from '../../src/ops/recurrent.js';

const CELLS = {
  lstm: { states: lstmStates, gates: 4, kinds: 2 },
  gru: { states: gruStates, gates: 3, kinds: 1 },
} as const;

interface Case {
  readonly cell: keyof typeof CELLS;
  readonly frames: number;
  readonly hidden: number;
  /** Frames of each sequence. */
  readonly counts: readonly number[];
  readonly reverse: boolean;
}

/** The states and the gradients of a weighted sum of them, on one device. */
function resultsOf({ cell, frames, hidden, counts, reverse }: Case, device: Backend, dtype: 'float32' | 'float64') {
  const { states, gates, kinds } = CELLS[cell];
  const batch = counts.length;
  const rng = random(hidden + batch);
  const own = (x: Tensor): Tensor => x.cast(dtype).to(device);
  const operands = {
    projected: own(rng.normal([frames, batch, gates * hidden])),
    weight: own(rng.normal([gates * hidden, hidden]).mul(hidden ** -0.5)),
    bias: own(rng.normal([gates * hidden]).mul(0.5)),
    start: own(rng.normal([kinds, batch, hidden])),
  };
  const cotangents = own(rng.normal([kinds, frames + 1, batch, hidden]));
  const held = tensor(counts, { dtype: 'int32' }).to(device);
  const [all, gradients] = vjp(
    (given: typeof operands) => states({ ...given, counts: held }, reverse),
    operands,
    cotangents,
  );
  return { states: all, ...gradients };
}

/** Largest difference of each result from the CPU's in float64, in units of the largest number there. */
async function errorsOf(one: Case, device: Backend, cpu: Backend): Promise<[string, number][]> {
  const want = Object.entries(resultsOf(one, cpu, 'float64'));
  const got = await dataOf(resultsOf(one, device, 'float32'));
  return want.map(([name, exact], i) => {
    const numbers = Array.from(exact.dataSync());
    const size = numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const differences = numbers.map((value, e) => Math.abs(got[i]![e]! - value) / size);
    return [name, differences.reduce((most, off) => (off <= most ? most : off), 0)]; // NaN counts as more
  });
}

const dataOf = (results: Readonly<Record<string, Tensor>>) => Promise.all(Object.values(results).map((t) => t.data()));

/** @param most hidden units at most, for devices that are slow */
export function recurrentSuite(device: () => Backend, cpu: () => Promise<Backend>, most = Infinity): void {
  const usual = recurrentLimits.hidden;
  afterEach(() => {
    recurrentLimits.hidden = usual;
  });

  const sizes = [1, 31, 33, 128, 256, 257, 600].filter((hidden) => hidden <= most);
  const cases = (['lstm', 'gru'] as const).flatMap((cell) =>
    sizes.flatMap((hidden) => [
      { cell, hidden, frames: 4, counts: [4, 0, 2], reverse: false },
      { cell, hidden, frames: 3, counts: [2], reverse: true },
    ]),
  );

  const check = async (one: Case): Promise<void> => {
    for (const [name, error] of await errorsOf(one, device(), await cpu()))
      expect({ name, error, isSmall: error < 3e-6 }).toEqual({ name, error, isSmall: true });
  };

  test.each(cases)('$cell: $hidden units, $frames frames, lengths $counts, reverse $reverse', check);

  test.each(cases.filter(({ hidden }) => hidden === 33 || hidden === 1))(
    '$cell: the same frame by frame: $hidden units, lengths $counts',
    async (one) => {
      recurrentLimits.hidden = 0;
      await check(one);
    },
  );

  test.each([usual, 0])('twice to the same bits, %d units at most in one launch', async (limit) => {
    recurrentLimits.hidden = limit;
    const one: Case = { cell: 'lstm', hidden: 40, frames: 5, counts: [5, 3, 5, 1, 4], reverse: true };
    const [first, second] = [0, 1].map(() => dataOf(resultsOf(one, device(), 'float32')));
    expect(await first).toEqual(await second);
  });

  test.each([usual, 0])(
    'infinite weights do not reach sequences without frames, %d units at most in one launch',
    async (limit) => {
      recurrentLimits.hidden = limit;
      for (const cell of ['lstm', 'gru'] as const)
        for (const reverse of [false, true]) {
          const { gates, kinds, states } = CELLS[cell];
          const [frames, batch, hidden] = [3, 2, 5];
          const own = (x: Tensor): Tensor => x.to(device());
          const rng = random(3);
          const weight = concat([full([1, hidden], Infinity), rng.normal([gates * hidden - 1, hidden])]);
          const operands = {
            projected: own(rng.normal([frames, batch, gates * hidden])),
            weight: own(weight),
            bias: own(rng.normal([gates * hidden])),
          };
          const counts = own(tensor([frames, 0], { dtype: 'int32' }));
          const cotangents = rng.normal([kinds, frames + 1, batch, hidden]);
          const [, gradient] = vjp(
            (start: Tensor) => states({ ...operands, start, counts }, reverse),
            own(rng.normal([kinds, batch, hidden])),
            own(cotangents),
          );
          const got = await gradient.slice([], 1).data();
          const want = cotangents.slice([], [], 1).sum(1).dataSync();
          got.forEach((value, i) => {
            expect({ cell, reverse, isNear: Math.abs(value - want[i]!) < 1e-5 }).toEqual({
              cell,
              reverse,
              isNear: true,
            });
          });
        }
    },
  );

  test('no sequences, and no frames of any', async () => {
    for (const cell of ['lstm', 'gru'] as const) {
      await check({ cell, hidden: 3, frames: 2, counts: [], reverse: false });
      await check({ cell, hidden: 3, frames: 2, counts: [0, 0, 0], reverse: true });
    }
  });
}
