import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ctcLoss, memory, random, type Tensor, valueAndGrad } from 'tapegrad';
import { heap } from '../../src/backends/cpu/heap.js';
import { cut, parallel, partsFor, poolState, setThreads, threads, warmThreads } from '../../src/backends/cpu/pool.js';

import { nodeArgs } from '../node.js';

const COUNT = 1 << 16;

/** What a module prints in a process of its own, and how that ends. */
function run(program: string, ...flags: string[]): { out: string; error: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    nodeArgs(...flags, '--input-type=module', '-e', program),
    { cwd: join(__dirname, '../..'), encoding: 'utf8', timeout: 300_000 },
  );
  return { out: stdout.trim(), error: stderr, status };
}

/** exp of COUNT numbers in the heap, in parts; the result's bytes. */
function expInParts(parts: number): string {
  const block = heap().take(COUNT * 8);
  const [x, out] = [block.start, block.start + COUNT * 4];
  for (let i = 0; i < COUNT; i++) heap().f32[x / 4 + i] = (i % 1000) / 50 - 10;
  heap().f32.fill(0, out / 4, out / 4 + COUNT);
  parallel(
    'exp',
    cut(COUNT, parts).map(([begin, end]) => [x + begin * 4, out + begin * 4, end - begin]),
  );
  const bits = Buffer.from(heap().f32.slice(out / 4, out / 4 + COUNT).buffer).toString('latin1');
  heap().give(block);
  return bits;
}

afterAll(() => {
  setThreads(1);
});

describe('thread pool', () => {
  test('cuts ranges without gaps, on the grain', () => {
    for (const [total, parts, grain] of [
      [10, 3, 1],
      [7, 4, 4],
      [0, 2, 1],
      [100, 7, 8],
      [3, 8, 1],
    ] as const) {
      const ranges = cut(total, parts, grain);
      let at = 0;
      for (const [begin, end] of ranges) {
        expect(begin).toBe(at);
        expect(begin % grain).toBe(0);
        expect(end).toBeGreaterThan(begin);
        at = end;
      }
      expect(at).toBe(total);
    }
  });

  test('refuses senseless numbers of threads', () => {
    for (const n of [0, -1, 1.5, 65, NaN])
      expect(() => {
        setThreads(n);
      }).toThrow(/\[setThreads\] n is .*from 1 to 64/);
  });

  test('small work stays on one thread, and starts none', () => {
    setThreads(4);
    expect(partsFor(1000)).toBe(1);
    expect(poolState().workers).toHaveLength(0);
  });

  test('any number of threads gives the same bits', async () => {
    setThreads(1);
    const alone = expInParts(1);
    for (const n of [2, 3, 5]) {
      setThreads(n);
      expect(await warmThreads()).toBe(n);
      expect(partsFor(1e9)).toBe(n);
      for (let round = 0; round < 50; round++) expect(expInParts(7) === alone).toBe(true);
    }
  });

  test('threads take part', async () => {
    setThreads(2);
    await warmThreads();
    expect(poolState().ready).toBe(1);
    // The caller stays at its first part, if it gets one, until all others are done: for minutes, if nobody else did them.
    const { exp } = heap().functions;
    const parts = 16;
    let rounds = 0;
    const most = 100_000;
    const asleep = new Int32Array(new SharedArrayBuffer(4));
    const functions = {
      ...heap().functions,
      exp: (x: number, out: number, count: number): number => {
        const result = exp!(x, out, count);
        const all = heap().f32.subarray((block.start + COUNT * 4) / 4, (block.start + COUNT * 8) / 4);
        while (all.includes(0) && rounds++ < most) Atomics.wait(asleep, 0, 0, 1);
        return result;
      },
    };
    const block = heap().take(COUNT * 8);
    heap().f32.fill(0, block.start / 4, block.start / 4 + 2 * COUNT);
    jest.replaceProperty(heap(), 'functions', functions);
    try {
      const [x, out] = [block.start, block.start + COUNT * 4];
      parallel(
        'exp',
        cut(COUNT, parts).map(([begin, end]) => [x + begin * 4, out + begin * 4, end - begin]),
      );
    } finally {
      jest.restoreAllMocks();
    }
    expect(rounds).toBeLessThan(most);
    expect(new Set(heap().f32.subarray(block.start / 4 + COUNT, block.start / 4 + 2 * COUNT))).toEqual(new Set([1]));
    heap().give(block);
  });

  test('a thread that works is not given up because the process was stopped for minutes', async () => {
    setThreads(2);
    await warmThreads();
    const [worker] = poolState().workers;
    const half = 1 << 23; // some 10 ms, more than threads look before they sleep
    const block = heap().take(half * 16);
    const x = block.start;
    const outs = [x + half * 8, x + half * 12];
    heap().f32.fill(0, x / 4, x / 4 + 4 * half);
    const asleep = new Int32Array(new SharedArrayBuffer(4));
    let other = -1;
    // The caller has done its half as soon as the thread is at work on the other one.
    jest.replaceProperty(heap(), 'functions', {
      ...heap().functions,
      exp: (_x: number, out: number): number => {
        other = outs.find((it) => it !== out)!;
        while (heap().f32[other / 4] === 0) Atomics.wait(asleep, 0, 0, 1);
        return 0;
      },
    });
    const now = performance.now.bind(performance);
    let looks = 0;
    // Each look at the clock comes an hour after the one before, once both have begun.
    jest.spyOn(performance, 'now').mockImplementation(() => now() + Math.max(0, ++looks - 3) * 3_600_000);
    try {
      parallel(
        'exp',
        outs.map((out, i) => [x + i * half * 4, out, half]),
      );
    } finally {
      jest.restoreAllMocks();
    }
    expect(new Set(heap().f32.subarray(other / 4, other / 4 + half))).toEqual(new Set([1]));
    heap().give(block);
    expect(poolState().workers).toEqual([worker]);
    expect(poolState().ready).toBe(1);
  });

  test('a thread that is lost in the middle of a task is an error, and nothing is done twice', () => {
    // A thread that claims a part of the first call as soon as it is offered, and is never heard of again. No time passes but by the looks at the clock.
    const program = `
      import { syncBuiltinESMExports } from 'node:module';
      import workers from 'node:worker_threads';
      import { KernelError, matmul, ones, setThreads } from 'tapegrad';
      let started = 0;
      let stopped = 0;
      workers.Worker = class {
        constructor(_, { workerData: { control, own } }) {
          if (++started > 1) return;
          const words = new Int32Array(control);
          Atomics.store(own, 0, 1);
          Atomics.add(words, 0, 1);
          Atomics.notify = () => Atomics.sub(words, 2, 1);
        }
        on() {}
        unref() {}
        terminate() { stopped++; }
      };
      syncBuiltinESMExports();
      let time = 0;
      performance.now = () => (time += 10);
      Atomics.wait = () => 'timed-out';
      setThreads(2);
      const a = ones([256, 256]);
      const seen = [];
      for (let call = 0; call < 3; call++)
        try {
          seen.push(matmul(a, a).sum().itemSync());
        } catch (error) {
          seen.push(error instanceof KernelError && error.message);
        }
      console.log(JSON.stringify({ seen, started, stopped }));
    `;
    const { out, error } = run(program);
    expect(error).toBe('');
    expect(JSON.parse(out)).toEqual({
      seen: [
        expect.stringMatching(
          /^\[cpu\] a thread was lost in part \d+ of \d+ of the kernel 'matmul', and what it was computing with it/,
        ),
        256 ** 3,
        256 ** 3,
      ],
      started: 2,
      stopped: 1,
    });
  });

  test('a thread that dies is replaced, and calls go on meanwhile', async () => {
    setThreads(3);
    await warmThreads();
    const alone = expInParts(1);
    const [victim] = poolState().workers;
    victim!.stop();
    expect(expInParts(9) === alone).toBe(true); // the same turn: nobody knows of the death yet
    while (poolState().workers.includes(victim!)) await sleep(10);
    expect(await warmThreads()).toBe(3);
    expect(expInParts(9) === alone).toBe(true);
  });

  test('a task that traps is a typed error, and the pool lives on', async () => {
    setThreads(2);
    await warmThreads();
    const outside = 2 ** 32 - 64;
    expect(() => {
      parallel('exp', [
        [outside, outside, 1 << 20],
        [outside, outside, 1 << 20],
      ]);
    }).toThrow(/\[cpu\] a kernel failed in part 0 of 2/);
    expect(expInParts(4) === expInParts(1)).toBe(true);
  });

  test('scratch memory for threads is bounded: long sequences are shared among fewer', async () => {
    setThreads(8);
    await warmThreads();
    const x = random(1).normal([4500, 16, 3]);
    const labels = Array.from({ length: 16 }, () => Int32Array.from({ length: 2000 }, (_, i) => 1 + (i % 2)));
    const f = valueAndGrad((t: Tensor) =>
      ctcLoss(t, labels, undefined, undefined, { from: 'logits', reduction: 'sum' }),
    );
    const [value, gradient] = f(x);
    expect(memory().reservedBytes).toBeLessThan(1.5 * 2 ** 30); // 144 MB a thread
    setThreads(1);
    const [alone, gradientAlone] = f(x);
    expect(value.itemSync()).toBe(alone.itemSync());
    expect(gradient.sub(gradientAlone).abs().max().itemSync()).toBe(0);
  });

  test.each([
    ['are forbidden', 'class { constructor() { started++; throw new Error("forbidden"); } }'],
    [
      'end at once',
      'class { constructor() { started++; } unref() {} terminate() {} on(event, f) { setImmediate(f); } }',
    ],
  ])('where threads %s, calls do without them, and soon start no more', (_, worker) => {
    const program = `
      import { syncBuiltinESMExports } from 'node:module';
      import workers from 'node:worker_threads';
      import { matmul, ones, setThreads, threads } from 'tapegrad';
      let started = 0;
      workers.Worker = ${worker};
      syncBuiltinESMExports();
      setThreads(4);
      const a = ones([256, 256]);
      const values = new Set();
      for (let i = 0; i < 30; i++) {
        values.add(matmul(a, a).slice([0, 1], [0, 1]).itemSync());
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      const [before, real] = [started, threads()];
      setThreads(2);
      matmul(a, a);
      console.log([...values], before > 0 && before < 13, real, started > before);
    `;
    expect(run(program)).toEqual({ out: '[ 256 ] true 1 true', error: '', status: 0 });
  });

  test('unless somebody asks for them, threads are started when there has been work that is worth it', () => {
    const program = `
      import { syncBuiltinESMExports } from 'node:module';
      import workers from 'node:worker_threads';
      import { matmul, ones } from 'tapegrad';
      let started = 0;
      workers.Worker = class extends workers.Worker { constructor(...args) { super(...args); started++; } };
      syncBuiltinESMExports();
      const a = ones([256, 256]);
      const counts = [];
      for (let i = 1; i <= 40; i++) {
        matmul(a, a);
        if (i === 5 || i === 40) counts.push(started > 0);
      }
      console.log(counts.join());
      process.exit();
    `;
    // One core wants no thread.
    expect(run(program)).toEqual({ out: `false,${availableParallelism() > 1}`, error: '', status: 0 });
  });

  test("under Node's permissions there is one thread, known at once", () => {
    const program = `
      import { matmul, ones, setThreads, threads } from 'tapegrad';
      const first = threads();
      setThreads(4);
      const a = ones([256, 256]);
      console.log(first, threads(), matmul(a, a).slice([0, 1], [0, 1]).itemSync());
    `;
    const flag = Number(process.versions.node.split('.')[0]) < 24 ? '--experimental-permission' : '--permission';
    expect(run(program, '--no-warnings', flag, '--allow-fs-read=*')).toEqual({ out: '1 1 256', error: '', status: 0 });
  });

  test('threads do not keep a process alive', () => {
    const program = `
      import { matmul, ones, setThreads, threads } from 'tapegrad';
      import { warmThreads } from './dist/internals.js';
      setThreads(2);
      const ready = await warmThreads();
      const a = ones([512, 512]);
      console.log(matmul(a, a).slice([0, 1], [0, 1]).itemSync(), threads(), ready);
    `;
    expect(run(program)).toEqual({ out: '512 2 2', error: '', status: 0 });
  });

  test('the default is the number of cores', () => {
    expect(threads()).toBeGreaterThan(0);
  });
});
