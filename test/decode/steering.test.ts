import {
  beamDecodeSync,
  BeamStream,
  FormatError,
  hotwords,
  loadSafetensors,
  memory,
  random,
  saveSafetensors,
  setThreads,
  type Steering,
  type Tensor,
  tensor,
} from 'tapegrad';
import { warmThreads } from '../../src/backends/cpu/pool.js';
import { makeEmissions } from './beam-fuzz.js';
import { KINDS, tryCase } from './steering-fuzz.js';

beforeAll(() => {
  setThreads(1);
});

const noise = (frames: number, classes: number, seed: number, peaky = 2): Tensor =>
  random(seed).normal([frames, classes]).mul(peaky).logSoftmax(-1);

/** Digits (labels 1 to 10, which stand for 0 to 9) whose sum is a multiple of ten. */
const checkDigit: Steering = {
  start: 0,
  step: (sum, label) => [0, (sum + label - 1) % 10],
  finish: (sum) => (sum === 0 ? 0 : -Infinity),
};

test.each(Object.entries(KINDS))(
  '%s, against all labellings: weights and scores exact, all found, no false proof',
  (_, make) => {
    const rng = random(11);
    const faults: string[] = [];
    let proven = 0;
    for (let k = 0; k < 250; k++) {
      const emissions = makeEmissions(rng);
      const result = tryCase(rng, emissions, make(rng, emissions.classes));
      if (result.fault !== null) faults.push(`case ${k}: ${result.fault}`);
      if (result.proven) proven++;
    }
    expect(faults).toEqual([]);
    expect(proven).toBeGreaterThan(20);
    expect(proven).toBeLessThan(250);
  },
);

test('a steering of three lines: all readings have the right sum, and one that the network likes less may win', () => {
  const x = noise(40, 11, 3, 3);
  const [free] = beamDecodeSync(x, { width: 64 });
  const [checked] = beamDecodeSync(x, { width: 64, nBest: 10, steering: checkDigit });
  for (const { labels, weight, score, logProb } of checked!.hypotheses) {
    expect(labels.reduce((sum, label) => sum + label - 1, 0) % 10).toBe(0);
    expect(weight).toBe(0);
    expect(score).toBeLessThanOrEqual(logProb + 1e-4);
  }
  expect(checked!.hypotheses[0]!.logProb).toBeLessThanOrEqual(free!.hypotheses[0]!.logProb);
});

test('bounds change nothing but the work', () => {
  const x = noise(60, 11, 4, 3);
  const options = { width: 40, nBest: 40, rescore: false };
  const [without] = beamDecodeSync(x, { ...options, steering: checkDigit });
  const [bounded] = beamDecodeSync(x, { ...options, steering: { ...checkDigit, bound: () => 0 } });
  expect(bounded!.hypotheses).toEqual(without!.hypotheses);
  expect(without!.lostLogProb).toBe(Infinity);
  expect(bounded!.lostLogProb).toBeLessThan(1);
});

test('a batch is what its sequences are one by one, with the same bits for any number of threads', async () => {
  const [T, N, C] = [80, 7, 11];
  const x = random(6).normal([T, N, C]).mul(3).logSoftmax(-1);
  const lengths = [80, 60, 0, 79, 1, 33, 80];
  const options = { width: 24, nBest: 4, rescore: false, steering: checkDigit };
  const all = beamDecodeSync(x, lengths, options);
  all.forEach((result, n) => {
    expect(beamDecodeSync(x.slice(null, n).slice([0, lengths[n]!]), options)[0]).toEqual(result);
  });
  setThreads(3);
  await warmThreads();
  expect(beamDecodeSync(x, lengths, options)).toEqual(all);
  setThreads(1);
});

describe('a stream', () => {
  const x = noise(600, 11, 12, 4);
  const open = (): BeamStream => new BeamStream(11, { width: 24, steering: checkDigit });

  test.each([1, 7, 100])('in pieces of %d frames is the whole, to the bit', (size) => {
    const stream = open();
    for (let t = 0; t < 600; t += size) {
      stream.push(x.slice([t, Math.min(t + size, 600)]));
      void stream.stable; // cuts the beam back
    }
    const whole = open().push(x);
    expect(stream.readings()).toEqual(whole.readings());
    const [{ hypotheses }] = beamDecodeSync(x, { width: 24, steering: checkDigit, rescore: false }) as [
      ReturnType<typeof beamDecodeSync>[0],
    ];
    const { labels, score } = stream.finish();
    expect(whole.finish()).toMatchObject({ labels, score });
    expect(labels).toEqual(hypotheses[0]!.labels);
    expect(score).toBeCloseTo(hypotheses[0]!.score, 9);
  });

  test('goes on after being saved, also where states have other numbers by then', async () => {
    const stream = open().push(x.slice([0, 333]));
    const { tensors } = loadSafetensors(await saveSafetensors(stream.save()));
    // The same automaton with other names for its states.
    const renamed: Steering = {
      start: 100,
      step: (state, label) => [0, ((state - 100 + label - 1) % 10) + 100],
      finish: (state) => (state === 100 ? 0 : -Infinity),
    };
    const restored = BeamStream.restore(tensors, { steering: renamed }).push(x.slice([333, 600]));
    const went = stream.push(x.slice([333, 600]));
    expect(restored.readings()).toEqual(went.readings());
    expect(restored.finish()).toEqual(went.finish());
    expect(() => BeamStream.restore(tensors)).toThrow('the saved stream has a steering; give the same one again');
  });

  test('a piece whose end no reading may be has a score of -Infinity', () => {
    const stream = new BeamStream(11, { steering: { ...checkDigit, finish: () => -Infinity } }).push(x);
    expect(stream.partial().score).toBeGreaterThan(-Infinity);
    expect(stream.finish().score).toBe(-Infinity);
    expect(beamDecodeSync(x, { steering: { ...checkDigit, finish: () => -Infinity } })[0]).toMatchObject({
      hypotheses: [],
      proven: false,
    });
  });
});

test('what may come can lie far below what may not', () => {
  // Label 1 is forbidden, and e^1500 times as likely as all else.
  const x = tensor([
    [-1600, 0, -1500],
    [-1500, 0, -1600],
    [-2000, 0, -1500],
  ]);
  const only2: Steering = { start: 0, step: (_, label) => [label === 1 ? -Infinity : -1, 0], bound: () => -1 };
  const [{ hypotheses }] = beamDecodeSync(x, { width: 4, nBest: 2, steering: only2 }) as [
    ReturnType<typeof beamDecodeSync>[0],
  ];
  expect(hypotheses[0]!.labels).toEqual([2, 2]);
  expect(hypotheses[0]!.score).toBeCloseTo(-4502, 6);
  expect(hypotheses[1]!.labels).toEqual([2]);
});

test('a steering that uses tapegrad itself, and beams of its own', () => {
  const x = noise(12, 4, 21);
  const inner = noise(6, 4, 22);
  const model: Steering = {
    start: 0,
    step: (state, label) => {
      beamDecodeSync(inner, { width: 3 });
      return [tensor([state, label]).sum().neg().itemSync() / 10, label];
    },
  };
  const plain: Steering = { start: 0, step: (state, label) => [-Math.fround(state + label) / 10, label] };
  const options = { width: 8, nBest: 8, rescore: false };
  const [a] = beamDecodeSync(x, { ...options, steering: model });
  const [b] = beamDecodeSync(x, { ...options, steering: plain });
  expect(a!.hypotheses.map(({ labels }) => labels)).toEqual(b!.hypotheses.map(({ labels }) => labels));
});

test('more questions than the table of answers has room for', () => {
  const x = noise(60, 300, 31, 0.5);
  const hash = (a: number, b: number): number => -(Math.abs(Math.sin(a * 12.9898 + b * 78.233) * 43758.5453) % 1) * 3;
  const wide: Steering = {
    start: 0,
    step: (state, label) => [hash(state, label), state * 300 + label],
    bound: () => 0,
  };
  const options = { width: 60, nBest: 5, rescore: false };
  const [result] = beamDecodeSync(x, {
    ...options,
    steering: { ...wide, step: (s, c) => [hash(s, c), (s * 31 + c) % 100003] },
  });
  for (const { labels, weight } of result!.hypotheses) {
    let [state, sum] = [0, 0];
    for (const label of labels) {
      sum += hash(state, label);
      state = (state * 31 + label) % 100003;
    }
    expect(weight).toBeCloseTo(sum, 9);
  }
});

describe('a steering of few states', () => {
  const TOKENS = ['', ...'abcdefghij'];
  const classes = TOKENS.length;
  const phrases = [
    'abc',
    'bc',
    'bca',
    'aab',
    'c',
    'cab',
    'abcab',
    'jj',
    { phrase: 'ia', boost: -1 },
    { phrase: 'ab', boost: 0 },
  ];
  const make = (): Steering => hotwords(phrases, TOKENS);
  /** The same, with nothing said of how many states there are. */
  const asked = (): Steering => {
    const { states, ...rest } = make();
    expect(states).toBeGreaterThan(10);
    return rest;
  };
  const options = { width: 12, nBest: 12, rescore: false };
  const x = noise(80, classes, 41, 3);

  test('is read as one that is asked when it has to be, and proves no less', () => {
    for (const [width, peaky] of [
      [1, 2],
      [12, 1],
      [12, 6],
      [400, 4],
    ] as const) {
      const scores = noise(40, classes, 42 + width, peaky);
      const search = { ...options, width, nBest: Math.min(width, 12) };
      const [whole] = beamDecodeSync(scores, { ...search, steering: make() });
      const [inTime] = beamDecodeSync(scores, { ...search, steering: asked() });
      expect(whole!.hypotheses).toEqual(inTime!.hypotheses);
      expect(whole!.lostLogProb).toBeLessThanOrEqual(inTime!.lostLogProb + 1e-4);
    }
  });

  test('again and again, with other classes and another blank: what is known of it is of the right ones', () => {
    const steering = make();
    const once = beamDecodeSync(x, { ...options, steering: make() });
    const more = tensor(
      [...x.dataSync()].flatMap((score, i) => (i % classes === classes - 1 ? [score, -9] : [score])),
      {
        shape: [80, classes + 1],
      },
    );
    const others = [make(), make()].map((fresh, i) =>
      i === 0
        ? beamDecodeSync(more, { ...options, steering: fresh })
        : beamDecodeSync(x, { ...options, blank: 4, steering: fresh }),
    );
    for (let k = 0; k < 2; k++) {
      expect(beamDecodeSync(x, { ...options, steering })).toEqual(once);
      expect(beamDecodeSync(more, { ...options, steering })).toEqual(others[0]);
      expect(beamDecodeSync(x, { ...options, blank: 4, steering })).toEqual(others[1]);
    }
  });

  test.each([1, 3, 10, 79])('in pieces of %d frames, saved and restored on the way', (size) => {
    const search = { width: 12, horizon: 8 };
    const whole = new BeamStream(classes, { ...search, steering: make() }).push(x);
    let stream = new BeamStream(classes, { ...search, steering: make() });
    for (let t = 0; t < 80; t += size) {
      stream.push(x.slice([t, Math.min(t + size, 80)]));
      if (t % 3 === 0) stream = BeamStream.restore(stream.save(), { steering: make() });
    }
    // What a state begins with: counts, scales, and what has been lost. Nodes may have other numbers.
    const head = (own: BeamStream): ArrayLike<number> => own.save().state.dataSync().slice(0, 10);
    expect(head(stream)).toEqual(head(whole));
    expect(stream.readings()).toEqual(whole.readings());
    expect(stream.finish()).toEqual(whole.finish());
  });

  test('goes on from none but its own states', () => {
    const still: Steering = { start: 40, states: 50, step: (state) => [0, state], bound: () => 0 };
    const stream = new BeamStream(classes, { width: 1, steering: still }).push(x);
    expect(stream.take().length).toBeGreaterThan(0);
    const saved = stream.save();
    expect(BeamStream.restore(saved, { steering: still }).finish()).toEqual(stream.finish());
    for (const states of [10, 40])
      expect(() => BeamStream.restore(saved, { steering: { ...still, start: 0, states } })).toThrow(FormatError);
    expect(BeamStream.restore(saved, { steering: { ...still, start: 0, states: 41 } }).taken).toBe(stream.taken);
  });

  test('that has more than it says, or answers only what can be asked', () => {
    const honest: Steering = {
      start: 0,
      step: (state, label) => [label === 2 && state === 1 ? 1 : -0.5, Math.min(state + 1, 5) % (label + 1)],
      bound: () => 1,
    };
    const wanted = beamDecodeSync(x, { ...options, steering: honest });
    const same = ({ hypotheses }: (typeof wanted)[0]): unknown => hypotheses;
    for (const states of [1, 2, 5]) {
      const [result] = beamDecodeSync(x, { ...options, steering: { ...honest, states } });
      expect(same(result!)).toEqual(same(wanted[0]!));
    }
    const shy: Steering = {
      ...honest,
      states: 50,
      step: (state, label) => {
        if (state > 5) throw new RangeError('no such state');
        return honest.step(state, label);
      },
    };
    expect(same(beamDecodeSync(x, { ...options, steering: shy })[0]!)).toEqual(same(wanted[0]!));
    const greedy: Steering = {
      ...honest,
      states: 6,
      step: (state, label) => [state > 5 ? 9 : honest.step(state, label)[0], 0],
    };
    expect(() => beamDecodeSync(x, { ...options, steering: { ...greedy, step: () => [9, 0] } })).toThrow(
      'more than its bound',
    );
    expect(beamDecodeSync(x, { ...options, steering: greedy })[0]!.hypotheses).toHaveLength(12);
  });
});

test('topClasses and drop leave out what they say; a blank penalty is one of the scores', () => {
  const x = noise(80, 20, 41);
  const plain = { width: 32, nBest: 8, rescore: false };
  expect(beamDecodeSync(x, { ...plain, topClasses: 20, drop: Infinity })).toEqual(beamDecodeSync(x, plain));
  const [few] = beamDecodeSync(x, { ...plain, topClasses: 1 });
  const best = x.slice(null, [1, 20]).argmax(-1).dataSync();
  const likely = new Set(Array.from(best, (label) => label + 1));
  for (const { labels } of few!.hypotheses) for (const label of labels) expect(likely).toContain(label);
  const [dropped] = beamDecodeSync(x, { ...plain, nBest: 32, drop: 0.05 });
  expect(dropped!.hypotheses.length).toBeLessThan(32);
  const scores = dropped!.hypotheses.map(({ score }) => score);
  expect(Math.min(...scores)).toBeGreaterThanOrEqual(Math.max(...scores) - 0.05 - 1e-9);
  expect(beamDecodeSync(x, { ...plain, drop: 0 })[0]!.hypotheses.length).toBeGreaterThan(0);
  const penalty = tensor([1.5, ...Array.from({ length: 19 }, () => 0)]);
  expect(beamDecodeSync(x, { ...plain, blankPenalty: 1.5 })).toEqual(beamDecodeSync(x.sub(penalty), plain));
  const stream = new BeamStream(20, { width: 32, blankPenalty: 1.5 }).push(x);
  expect(BeamStream.restore(stream.save()).readings(8)).toEqual(stream.readings(8));
  expect(stream.readings(8).map(({ labels }) => labels)).toEqual(
    beamDecodeSync(x.sub(penalty), plain)[0]!.hypotheses.map(({ labels }) => labels),
  );
});

test('float64 scores with a blank penalty: a stream reads the bits of beamDecode', () => {
  const x = random(9).normal([200, 8], { dtype: 'float64' }).logSoftmax(-1);
  const [whole] = beamDecodeSync(x, { blankPenalty: 0.3, rescore: false });
  const stream = new BeamStream(8, { blankPenalty: 0.3, horizon: 0 });
  for (let t = 0; t < 200; t += 40) stream.push(x.slice([t, t + 40]));
  expect(stream.finish().score).toBe(whole!.hypotheses[0]!.score);
});

test.each([
  ['no step', { start: 0 }, "steering is an object; it must be an object with 'start' and 'step'"],
  ['no start', { step: () => [0, 0] }, 'steering.start is undefined'],
  ['an answer that is no pair', { start: 0, step: () => 0 }, "the steering's step(0, "],
  ['a weight that is NaN', { start: 0, step: () => [NaN, 0] }, 'is [NaN, 0]; it must be [log weight, next state]'],
  ['no next state', { start: 0, step: () => [0] }, 'is [0]; it must be'],
  ['more than the bound', { start: 0, step: () => [1, 0], bound: (): number => 0.5 }, 'gains 1, more than its bound('],
  [
    'an end above its bound',
    { start: 0, step: () => [0, 0], finish: (): number => 1, bound: (): number => 0 },
    'finish(0) gains 1',
  ],
  [
    'an end that is NaN',
    { start: 0, step: () => [0, 0], finish: (): number => NaN },
    "the steering's finish(0) is NaN",
  ],
  ['a finish that is no function', { start: 0, step: () => [0, 0], finish: 3 }, 'steering.finish is 3'],
])('%s is refused', (_, steering, message) => {
  expect(() => beamDecodeSync(noise(8, 5, 1), { steering: steering as never })).toThrow(message);
});

test('an error of the steering passes through, and nothing is left behind', () => {
  const x = noise(8, 5, 1);
  const failing: Steering = {
    start: 0,
    step: () => {
      throw new RangeError('no model');
    },
  };
  const unbounded: Steering = { start: 0, step: () => [0, 0], bound: () => NaN };
  const before = memory();
  expect(() => beamDecodeSync(x, { steering: failing })).toThrow(new RangeError('no model'));
  expect(() => beamDecodeSync(x, { steering: unbounded })).toThrow('bound(');
  expect(memory()).toMatchObject({ usedBytes: before.usedBytes, scopes: before.scopes });
  expect(beamDecodeSync(x)[0]!.hypotheses).toHaveLength(1);
});

test('what vanishes beside a class that is e^800 as likely still stands in the way of a proof', () => {
  // 2 only after 1: the first frame all but rules out 1, the second all but 2, and '1 2' is the best of all.
  const onlyAfter: Steering = {
    start: 0,
    step: (state, label) => [state === 0 && label === 2 ? -Infinity : 0, 1],
    bound: () => 0,
  };
  const x = tensor(
    [
      [0, -800, -Infinity],
      [-3000, -3000, 0],
    ],
    { dtype: 'float64' },
  );
  for (const width of [1, 2, 100]) {
    const [result] = beamDecodeSync(x, { width, steering: onlyAfter });
    if (result!.hypotheses[0]?.labels.join(' ') !== '1 2') expect(result!.proven).toBe(false);
  }
  expect(beamDecodeSync(x.slice([0, 1]), { width: 2, steering: onlyAfter })[0]!.lostLogProb).toBeGreaterThan(-Infinity);
});
