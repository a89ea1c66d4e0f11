import {
  concat,
  grad,
  gradCheck,
  hessian,
  memory,
  nn,
  random,
  relu,
  resetPeakMemory,
  scope,
  split,
  tensor,
  type Tensor,
  tensorsOf,
} from 'tapegrad';

/*
 * What a gradient needs at its peak: at most 1.3 times what the forward pass needs, and the gradients. Nothing here measures time.
 */

const source = random(0);
const MIB = 2 ** 20;

const peakOf = (run: () => unknown): number => {
  resetPeakMemory();
  const before = memory().peakBytes;
  run();
  return memory().peakBytes - before;
};

const bytesOf = (tree: unknown): number => tensorsOf(tree).reduce((bytes, t) => bytes + t.size * 4, 0);

interface Work<P> {
  readonly input: P;
  run(input: P): Tensor;
}

const layer = <P>(made: { init(r: typeof source): P; apply(p: P, x: Tensor): Tensor }, frames: number): Work<P> => {
  const x = source.normal([1, frames, 32]);
  return { input: made.init(source), run: (p) => made.apply(p, x).sum() };
};

const loop = (frames: number, frame: (x: Tensor) => (t: number) => Tensor): Work<Tensor> => {
  const w = source.normal([256, 256], { std: 0.05 });
  return {
    input: source.normal([frames, 256]),
    run: (x) => {
      const read = frame(x);
      let h = read(0);
      for (let t = 1; t < frames; t++) h = read(t).add(h.matmul(w)).tanh();
      return h.sum();
    },
  };
};

const loops: Record<string, (frames: number) => Work<Tensor>> = {
  slice: (frames) => loop(frames, (x) => (t) => x.slice([t, t + 1])),
  'slice of one position': (frames) => loop(frames, (x) => (t) => x.slice(t).reshape([1, 256])),
  take: (frames) => loop(frames, (x) => (t) => x.take([t])),
  gather: (frames) => loop(frames, (x) => (t) => x.gather(tensor(new Int32Array(256).fill(t), { shape: [1, 256] }), 0)),
  split: (frames) =>
    loop(frames, (x) => {
      const parts = split(x, frames);
      return (t) => parts[t]!;
    }),
};

const recurrences: Record<string, (frames: number) => Work<unknown>> = {
  lstm: (frames) => layer(nn.lstm(32, 256), frames),
  gru: (frames) => layer(nn.gru(32, 256), frames),
  'bidirectional lstm': (frames) => layer(nn.lstm(32, 128, { bidirectional: true }), frames),
  ...(loops as Record<string, (frames: number) => Work<unknown>>),
};

/** The peaks of the forward pass and of the gradient, the gradients left out. */
function peaks(work: Work<unknown>): { forward: number; backward: number } {
  const forward = peakOf(() => scope(() => work.run(work.input)));
  let gradient: unknown;
  const all = peakOf(() => (gradient = grad((input: unknown) => work.run(input))(work.input)));
  return { forward, backward: all - bytesOf(gradient) };
}

test('an LSTM of 512 over 600 frames keeps the process below 200 MB', () => {
  const work = layer(nn.lstm(32, 512), 600);
  grad((p: typeof work.input) => work.run(p))(work.input);
  expect(memory().reservedBytes).toBeLessThan(200e6);
});

/** Bytes of a frame that the way back holds at once besides: a GRU's gates have two cotangents, the input's and the product's. */
const cotangents: Record<string, number> = { gru: 3 * 256 * 4 };

test.each(Object.entries(recurrences))(
  '%s: the gradient beside the forward pass, and twice as many frames',
  (name, make) => {
    const [short, long] = [peaks(make(200)), peaks(make(400))];
    const held = cotangents[name] ?? 0;
    expect(short.backward).toBeLessThan(1.3 * short.forward + 200 * held + MIB / 4);
    expect(long.backward).toBeLessThan(1.3 * long.forward + 400 * held + MIB / 4);
    expect(long.forward).toBeLessThan(2 * short.forward + MIB / 4);
    expect(long.backward).toBeLessThan(2 * short.backward + MIB / 4);
  },
);

test.each<[string, Work<unknown>]>([
  [
    'concat of many results',
    {
      input: source.normal([2000, 256]),
      run: (x) =>
        concat(Array.from({ length: 2000 }, (_, t) => (x as Tensor).slice([t, t + 1]).tanh()))
          .square()
          .sum(),
    },
  ],
  [
    '20 layers of convolutions',
    (() => {
      const conv = nn.conv2d(8, 8, 3, { padding: 1 });
      const x = source.normal([2, 32, 32, 8]);
      return {
        input: Array.from({ length: 20 }, () => conv.init(source)),
        run: (layers) => (layers as ReturnType<typeof conv.init>[]).reduce((y, p) => relu(conv.apply(p, y)), x).sum(),
      };
    })(),
  ],
  [
    'a long chain of large values',
    {
      input: source.normal([300, 300]),
      run: (x) =>
        Array.from({ length: 20 })
          .reduce((y: Tensor) => y.tanh().mul(x as Tensor), x as Tensor)
          .sum(),
    },
  ],
  [
    'one matrix in many products',
    {
      input: source.normal([400, 400], { std: 0.05 }),
      run: (w) =>
        Array.from({ length: 50 })
          .reduce((h: Tensor) => h.matmul(w as Tensor), source.normal([1, 400]))
          .sum(),
    },
  ],
  [
    'a second derivative through slices',
    {
      input: source.normal([100, 256]),
      run: (x) =>
        grad((t: Tensor) =>
          t
            .slice([0, 50])
            .mul(t.slice([50, 100]))
            .tanh()
            .sum(),
        )(x as Tensor)
          .square()
          .sum(),
    },
  ],
])('%s', (_, work) => {
  const { forward, backward } = peaks(work);
  expect(backward).toBeLessThan(1.3 * forward + MIB / 4);
});

test('a Hessian needs itself and one row, whatever the number of rows', () => {
  const f = (x: Tensor): Tensor => x.square().mul(x.flip(0)).add(x).square().sum();
  for (const size of [64, 256, 512]) {
    const x = source.normal([size]);
    const forward = peakOf(() => grad((t: Tensor) => grad(f)(t).sum())(x));
    const matrix = peakOf(() => hessian(f)(x));
    expect(matrix).toBeLessThan(1.3 * forward + size * size * 4 + MIB / 4);
  }
});

test('embedding lookups in a loop, with positions that repeat', () => {
  const table = source.normal([5000, 64]);
  const run = (steps: number): number =>
    peakOf(() =>
      grad((t: Tensor) =>
        Array.from({ length: steps }, (_, i) =>
          t
            .take([i % 7, i % 5, i % 7])
            .tanh()
            .sum(),
        ).reduce((a, b) => a.add(b)),
      )(table),
    );
  const [few, many] = [run(10), run(300)];
  expect(many - few).toBeLessThan(300 * 3 * 64 * 4 * 3 + MIB / 2);
});

test('gradCheck of order 2 needs what one second derivative does, however many it takes', () => {
  const f = (x: Tensor): Tensor => x.matmul(x).tanh();
  for (const size of [8, 24]) {
    const x = source.normal([size, size], { dtype: 'float64', std: 0.1 });
    const once = peakOf(() => grad((t: Tensor) => grad((u: Tensor) => f(u).sum())(t).sum())(x));
    const all = peakOf(() => gradCheck(f, [x], { order: 2 }));
    expect(all).toBeLessThan(1.3 * once + MIB / 4); // a leak of one tensor an evaluation would be 20 MiB
  }
});
