/** Steerings whose numbers are as large as they may be, or larger, those that start elsewhere than they did, and those that use their own stream. */
import { beamDecodeSync, BeamStream, FormatError, memory, random, setThreads, type Steering, tensor } from 'tapegrad';

beforeAll(() => {
  setThreads(1);
});

/** Labels 1 and 2 in turns, certain but for their order: one is worth `first`, the next one `second`. */
const inTurns = tensor(
  Float32Array.from(
    { length: 12 * 3 },
    (_, i) =>
      [
        [-Infinity, 0, -3],
        [-Infinity, -3, 0],
      ][Math.floor(i / 3) % 2]![i % 3]!,
  ),
  { shape: [12, 3] },
);
const paying = (first: number, second: number, bound?: number): Steering => ({
  start: 0,
  step: (state) => [state % 2 ? second : first, (state + 1) % 2],
  ...(bound === undefined ? {} : { bound: () => bound }),
});

describe('what a step gains', () => {
  test.each([
    [500, 500],
    [177, 500],
    [500, -50],
  ])('%d and then %d: readings have their scores, with and without bounds', (first, second) => {
    const most = Math.max(first, second);
    for (const states of [{}, { states: 2 }])
      for (const bound of [undefined, 0, 1, 199, Infinity].map((more) => (more === undefined ? more : most + more))) {
        const steering = { ...paying(first, second, bound), ...states };
        const [result] = beamDecodeSync(inTurns, { width: 3, nBest: 3, steering });
        expect(result!.hypotheses).toHaveLength(3);
        // The beam follows a part of a reading's alignments.
        for (const { score, logProb, weight } of result!.hypotheses)
          expect(logProb + weight - score).toBeCloseTo(Math.max(0, logProb + weight - score), 4);
        const [best] = result!.hypotheses;
        expect(best!.score).toBeGreaterThan(best!.logProb + best!.weight - Math.LN2);
        expect(result!.lostLogProb).not.toBe(-Infinity);
      }
  });

  test('more than can be held is refused, where it is said', () => {
    for (const weight of [500.5, 710, 1e5])
      for (const bound of [undefined, weight, Infinity])
        expect(() => beamDecodeSync(inTurns, { steering: paying(0, weight, bound) })).toThrow(
          `step(1, 2) is [${weight}, 0]; it must be [log weight, next state], a number up to 500 and a number`,
        );
  });

  test('bounds far above all that is gained: nothing is lost without being counted, and streams can be saved', () => {
    const rng = random(7);
    for (let k = 0; k < 100; k++) {
      const [classes, frames] = [rng.integer(2, 7), rng.integer(1, 7)];
      const weights = Array.from({ length: 3 * classes }, () => 300 * Math.tanh(rng.gaussian()));
      const bounds = Array.from({ length: classes }, () => 300 + 800 * rng.next());
      const steering: Steering = {
        start: 0,
        step: (state, label) => [weights[state * classes + label]!, (state + label) % 3],
        bound: (label) => (label === null ? 0 : bounds[label]!),
      };
      const x = rng.normal([frames, classes]).mul(3);
      const stream = new BeamStream(classes, { width: 1, steering }).push(x);
      const restored = BeamStream.restore(stream.save(), { steering });
      expect(restored.finish()).toEqual(stream.finish());
      const [all, some] = [1000, 1].map((width) => beamDecodeSync(x, { width, steering })[0]!);
      const isSame = all!.hypotheses[0]!.labels.join() === some!.hypotheses[0]!.labels.join();
      if (!isSame) expect(some!.proven).toBe(false);
    }
  });
});

test('a steering of few states may start elsewhere the next time, also out of these', () => {
  const x = random(8).normal([9, 4]);
  const steering = {
    start: 0,
    step: (state: number, label: number): [number, number] => [((state + label) % 5) / 3, (state + label) % 3],
    bound: () => 2,
  };
  const few = { ...steering, states: 3 };
  for (const start of [0, 2, 3, -1, 0.5, 1e9, 1]) {
    steering.start = start;
    few.start = start;
    const [want, got] = [steering, few].map(
      (own) => beamDecodeSync(x, { width: 5, nBest: 5, steering: { ...own } })[0]!,
    );
    expect(got!.hypotheses).toEqual(want!.hypotheses);
    expect(beamDecodeSync(x, { width: 5, nBest: 5, steering: few })[0]!.hypotheses).toEqual(want!.hypotheses);
  }
});

test('a stream that is not restored leaves nothing behind, whoever refuses it', () => {
  const step = (state: number, label: number): [number, number] => [
    ((state + label) % 3) / 10,
    (3 * state + label) % 50,
  ];
  const stream = new BeamStream(5, { width: 4, steering: { start: 0, step } });
  stream.push(random(1).normal([300, 5]).mul(6));
  expect(stream.take().length).toBeGreaterThan(0);
  stream.push(random(2).normal([100, 5]).mul(6));
  expect(stream.stable.length).toBeGreaterThan(0);
  const saved = stream.save();
  stream.finish();
  const failing: Steering = {
    start: 0,
    step: () => {
      throw new RangeError('no model');
    },
  };
  const { scopes } = memory();
  expect(() => BeamStream.restore(saved, { steering: failing })).toThrow(new RangeError('no model'));
  expect(() => BeamStream.restore(saved, { steering: { start: 0, step: () => [NaN, 0] } })).toThrow('[NaN, 0]');
  const state = saved.state.dataSync().slice();
  state[0] = -1;
  expect(() => BeamStream.restore({ ...saved, state: tensor(state) }, { steering: { start: 0, step } })).toThrow(
    FormatError,
  );
  expect(memory().scopes).toBe(scopes);
});

test('a stream is closed to its own steering while it asks it, and is afterwards as it was', () => {
  const x = random(9).normal([40, 11]).mul(2).logSoftmax(-1);
  const inTens: Steering = {
    start: 0,
    step: (sum, label) => [0, (sum + label - 1) % 10],
    finish: (sum) => (sum === 0 ? 0 : -Infinity),
  };
  const want = new BeamStream(11, { width: 8, steering: inTens }).push(x).push(x).finish();
  const uses: ((stream: BeamStream) => unknown)[] = [
    (stream) => stream.push(x),
    (stream) => stream.finish(),
    (stream) => stream.take(),
    (stream) => stream.save(),
    (stream) => stream.partial(),
    (stream) => stream.readings(),
    (stream) => stream.stable,
  ];
  for (const use of uses) {
    let meddles = false;
    const meddling: Steering = {
      start: 0,
      step: (sum, label) => {
        if (meddles) use(stream);
        return inTens.step(sum, label);
      },
      finish: (sum) => {
        if (meddles) use(stream);
        return inTens.finish!(sum);
      },
    };
    const stream = new BeamStream(11, { width: 8, steering: meddling });
    meddles = true;
    expect(() => stream.push(x)).toThrow('the stream is at work');
    meddles = false;
    stream.push(x).push(x);
    meddles = true;
    expect(() => stream.finish()).toThrow('the stream is at work');
    meddles = false;
    expect(stream.finish()).toEqual(want);
  }
});
