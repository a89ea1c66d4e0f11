import type { Tensor } from 'tapegrad';
import { random, tensor, valueAndGrad } from 'tapegrad';
import { init, shardedBatches, shares } from 'tapegrad/distributed';
import {
  type Call,
  differenceOf,
  digestOf,
  EXCERPT_BYTES,
  excerptOf,
  firstDifference,
  ranksText,
} from '../../src/distributed/agreement.js';
import { launcherOf, libraryCandidates } from '../../src/distributed/launcher.js';
import { Pace } from '../../src/distributed/pace.js';

describe('the launcher', () => {
  test.each([
    ['nothing', {}, null],
    ['a batch script of SLURM, which has started nothing yet', { SLURM_NTASKS: '4', SLURM_PROCID: '0' }, null],
    ['a job of one task', { SLURM_STEP_NUM_TASKS: '1', SLURM_PROCID: '0' }, null],
    [
      'mpirun of Open MPI, within SLURM',
      { OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '3', PMIX_RANK: '3', SLURM_STEP_NUM_TASKS: '2' },
      { by: "Open MPI's mpirun", size: 4, rank: 3, abi: 'openmpi' },
    ],
    [
      'mpirun of MPICH',
      { PMI_SIZE: '2', PMI_RANK: '0', PMI_FD: '9' },
      { by: "MPICH's mpirun (Hydra)", size: 2, rank: 0, abi: 'mpich' },
    ],
    [
      'srun with PMI-2',
      { PMI_SIZE: '2', PMI_RANK: '1', SLURM_STEP_ID: '0', SLURM_STEP_NUM_TASKS: '2', SLURM_PROCID: '1' },
      { by: 'srun (PMI)', size: 2, rank: 1, abi: 'mpich' },
    ],
    [
      'srun with PMIx',
      { PMIX_RANK: '5', SLURM_STEP_NUM_TASKS: '8', SLURM_PROCID: '5' },
      { by: 'srun (PMIx)', size: 8, rank: 5, abi: undefined },
    ],
    ['another one with PMIx', { PMIX_RANK: '1' }, { by: 'a PMIx launcher', size: undefined, rank: 1, abi: undefined }],
    [
      'srun without either',
      { SLURM_STEP_NUM_TASKS: '8', SLURM_PROCID: '5' },
      { by: 'srun', size: 8, rank: 5, abi: undefined },
    ],
  ])('%s', (_, env, expected) => {
    expect(launcherOf(env)).toEqual(expected);
  });

  test('decides on the library, and TAPEGRAD_MPI on nothing else', () => {
    expect(libraryCandidates({ TAPEGRAD_MPI: '/opt/x/libmpi.so' }, 'linux')).toEqual(['/opt/x/libmpi.so']);
    expect(libraryCandidates({ OMPI_COMM_WORLD_SIZE: '2' }, 'linux')[0]).toBe('libmpi.so.40');
    expect(libraryCandidates({ PMI_SIZE: '2', PMI_RANK: '0' }, 'linux').slice(0, 2)).toEqual([
      'libmpi.so.12',
      'libmpich.so.12',
    ]);
    for (const name of libraryCandidates({}, 'darwin')) expect(name).toMatch(/\.dylib$/);
  });
});

describe('what ranks say to each other', () => {
  const call = (...lines: string[]): Call => ({ head: 'allSum of 2 tensors', lines });

  test('the first line in which calls differ, by groups', () => {
    const calls = [call('.a', '.b'), call('.a', '.c'), call('.a', '.b'), { head: 'close', lines: [] }];
    expect(firstDifference(calls[0]!, calls[2]!)).toBe(null);
    expect(firstDifference(calls[0]!, calls[1]!)).toBe(1);
    expect(firstDifference(calls[0]!, calls[3]!)).toBe(0);
    expect(differenceOf(calls.map((one) => excerptOf(one, 0)))).toBe(
      'the ranks do not agree: ranks 0, 1, 2 at allSum of 2 tensors, with .a in place 0; rank 3 at close, with nothing in place 0',
    );
    expect(differenceOf(calls.slice(0, 3).map((one) => excerptOf(one, 1)))).toBe(
      'the ranks do not agree: ranks 0, 2 at allSum of 2 tensors, with .b in place 1; rank 1 at allSum of 2 tensors, with .c in place 1',
    );
    expect(excerptOf({ ...calls[3]!, told: 'the end' }, null)).toBe('the end');
  });

  test('stays short in a large world, and with long names, whose ends are shown', () => {
    const excerpt = (r: number): string =>
      excerptOf(
        { head: `broadcast ${r} ${'\u{10ffff}'.repeat(9999)}`, lines: [`.${'x'.repeat(9999)} float32[${r}]`] },
        0,
      );
    expect(excerpt(7)).toMatch(/^broadcast 7 .* float32\[7\] in place 0$/);
    expect(Buffer.byteLength(excerpt(7))).toBeLessThan(EXCERPT_BYTES);
    const many = Array.from({ length: 2000 }, (_, r) => (r < 1000 ? 'barrier' : excerpt(r)));
    expect(differenceOf(many).length).toBeLessThan(2500);
    expect(differenceOf(many)).toContain('ranks 0, 1, 2, 3 and 996 others at barrier');
    expect(differenceOf(many)).toMatch(/; and others$/);
    expect(ranksText([7])).toBe('rank 7');
  });

  test('digests are exact in float64, and differ for texts that hardly do', () => {
    const digests = Array.from({ length: 1000 }, (_, i) => digestOf(`.w float32[${i}]`));
    expect(digests.every(Number.isSafeInteger)).toBe(true);
    expect(new Set(digests).size).toBe(1000);
  });
});

describe('shares', () => {
  const cost = (lengths: number[], share: number[]): number =>
    share.length * Math.max(0, ...share.map((n) => lengths[n]!));

  test('each position once, and no way to cut the sorted lengths has a smaller largest share', () => {
    const rng = random(3);
    for (let round = 0; round < 200; round++) {
      const lengths = Array.from({ length: rng.integer(0, 9) }, () => rng.integer(0, 40));
      const count = rng.integer(1, 4);
      const got = shares(lengths, count);
      expect(got).toHaveLength(count);
      expect(got.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, n) => n));
      const sorted = [...lengths].sort((a, b) => a - b);
      const best = (from: number, left: number): number => {
        if (left === 1) return (sorted.length - from) * (from < sorted.length ? sorted.at(-1)! : 0);
        return Math.min(
          ...Array.from({ length: sorted.length - from + 1 }, (_, k) =>
            Math.max(k * (k > 0 ? sorted[from + k - 1]! : 0), best(from + k, left - 1)),
          ),
        );
      };
      expect(Math.max(...got.map((share) => cost(lengths, share)))).toBe(best(0, count));
    }
  });

  test('shardedBatches: in step, within the budget, every sequence once, of about equal work', () => {
    const rng = random(5);
    const lengths = Array.from({ length: 1001 }, () => rng.integer(20, 400));
    for (const size of [1, 2, 3, 8]) {
      const ranks = Array.from({ length: size }, (_, rank) => shardedBatches(lengths, 4000, random(9), { rank, size }));
      expect(new Set(ranks.map((batches) => batches.length)).size).toBe(1);
      expect(ranks.flat(2).sort((a, b) => a - b)).toEqual(lengths.map((_, n) => n));
      const costs = ranks[0]!.map((_, step) => ranks.map((batches) => cost(lengths, batches[step]!)));
      expect(Math.max(...costs.flat())).toBeLessThanOrEqual(4000);
      // What all ranks do together, of what they could do if nobody waited.
      const busy = costs.flat().reduce((a, b) => a + b, 0) / (size * costs.reduce((sum, c) => sum + Math.max(...c), 0));
      expect(busy).toBeGreaterThan(0.9);
      expect(shardedBatches(lengths, 4000, random(9), { rank: 0, size })).toEqual(ranks[0]);
    }
    expect(shardedBatches([5, 5], 5, random(1), { rank: 2, size: 3 }).flat().length).toBeLessThan(2);
  });

  test('refuse what they cannot share', () => {
    expect(() => shares([1, 2], 0)).toThrow('[shares] count is 0; it must be a positive whole number');
    expect(() => shares([1, NaN], 2)).toThrow('[shares] length 1 is NaN');
    expect(() => shardedBatches([1], 5, random(1), { rank: 2, size: 2 })).toThrow('rank 2 of 2 is no rank of a world');
    expect(() => shardedBatches([9], 5, random(1), { rank: 0, size: 1 })).toThrow(
      '[shardedBatches] sequence 0 has 9 frames; a batch holds at most 5',
    );
  });
});

describe('a world of one', () => {
  test('refuses wrong options and tensors that are being differentiated', async () => {
    await expect(init({ timeout: 0 })).rejects.toThrow('[init] timeout is 0; it must be a positive number of seconds');
    await expect(init({ timeOut: 1 } as object)).rejects.toThrow("[init] there is no option 'timeOut'");
    const world = await init();
    expect(world.size).toBe(1);
    const inside = valueAndGrad(async (x: Tensor) => (await world.allSum(x)).sum());
    await expect(inside(tensor([1, 2]))).rejects.toThrow(
      '[allSum] the tensor is being differentiated, and no gradient passes through other ranks',
    );
    await expect(world.recvLike(tensor([1]), 0)).rejects.toThrow("[recvLike] 'from' is 0, this very rank");
  });
});

describe('how often a waiting rank polls', () => {
  /** A pace on a machine whose clock and preemptions the test says; `turn` is a row of polls that ends then. */
  function simulated(): { pace: Pace; begin: () => (at: number, preemptions?: number) => boolean } {
    const system = { time: 0, taken: 0 };
    const pace = new Pace({ now: () => system.time, preemptions: () => system.taken });
    return {
      pace,
      begin: () => {
        const isEager = pace.begin();
        return (at, taken = system.taken) => {
          Object.assign(system, { time: at, taken });
          return isEager();
        };
      },
    };
  }

  test('without rest at first, and after a while with rests', () => {
    const { begin } = simulated();
    const turn = begin();
    expect([0.1, 0.5, 20, 49.9, 50.1, 200].map((at) => turn(at))).toEqual([true, true, true, true, false, false]);
    const next = begin(); // at 200
    expect([200.1, 249, 251].map((at) => next(at))).toEqual([true, true, false]);
  });

  test('with rests from the beginning where there are more ranks than cores', () => {
    const { pace, begin } = simulated();
    pace.isCrowded = true;
    expect(begin()(0.1)).toBe(false);
  });

  test('with rests for a second where another process was given the core, however many waits that is', () => {
    const { begin } = simulated();
    const turn = begin();
    expect([turn(0.1, 7), turn(0.2, 7), turn(4, 8), turn(5, 8)]).toEqual([true, true, false, false]);
    const second = begin();
    expect([5.1, 20].map((at) => second(at))).toEqual([false, false]);
    expect([begin()(1003), begin()(1005)]).toEqual([false, true]);
  });

  test('a long turn that was the event loop’s own work changes nothing, nor does a short interruption', () => {
    const { begin } = simulated();
    const turn = begin();
    expect([turn(0.1, 7), turn(30, 7), turn(30.5, 8), turn(31, 8)]).toEqual([true, true, true, true]);
  });
});
