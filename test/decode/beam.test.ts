import {
  beamDecode,
  beamDecodeSync,
  BeamStream,
  concat,
  ctcAlignSync,
  ctcLoss,
  FormatError,
  loadSafetensors,
  memory,
  random,
  saveSafetensors,
  scope,
  setThreads,
  type Tensor,
  tensor,
} from 'tapegrad';
import { warmThreads } from '../../src/backends/cpu/pool.js';
import { BeamStates } from '../../src/ops/ctc/beam-state.js';
import { remoteDevice } from '../devices.js';
import { allLabellings, fuzz, makeEmissions, decode } from './beam-fuzz.js';

beforeAll(() => {
  setThreads(1);
});

const noise = (frames: number, classes: number, seed: number, peaky = 2): Tensor =>
  random(seed).normal([frames, classes]).mul(peaky).logSoftmax(-1);

describe('against all labellings', () => {
  test('400 small problems: every score a lower bound, log-probabilities exact, no false proof, nothing lost unseen', () => {
    const report = fuzz(400, 3);
    expect(report.examples).toEqual([]);
    expect(report.falseAccepts).toBe(0);
    expect(report.proven).toBeGreaterThan(100);
    expect(report.proven).toBeLessThan(400);
  });

  test('a beam that is wide enough finds all of them, with probabilities that add up to 1, in order', () => {
    const rng = random(8);
    for (let k = 0; k < 40; k++) {
      const emissions = makeEmissions(rng);
      const all = [...allLabellings(emissions)].filter(([, p]) => p > 1e-280).sort((a, b) => b[1] - a[1]);
      const { hypotheses, lostLogProb } = decode(emissions, 8192, 8192, false);
      const found = hypotheses.filter(({ score }) => score > Math.log(1e-280));
      expect(found).toHaveLength(all.length);
      found.forEach(({ score }, i) => {
        expect(score).toBeCloseTo(Math.log(all[i]![1]), 8);
      });
      const total = all.reduce((sum, [, p]) => sum + p, 0);
      expect(found.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(all.length > 0 ? 1 : 0, 9);
      expect(found.reduce((sum, { score }) => sum + Math.exp(score), 0)).toBeCloseTo(total, 6);
      expect(Math.exp(lostLogProb)).toBeLessThan(1e-3 * total + 1e-5);
    }
  });

  test('the classic: the best path is blank, the best labelling is not', () => {
    const x = tensor([
      [Math.log(0.6), Math.log(0.4)],
      [Math.log(0.6), Math.log(0.4)],
    ]);
    const [{ hypotheses, proven }] = beamDecodeSync(x, { nBest: 2 }) as [ReturnType<typeof beamDecodeSync>[0]];
    expect(hypotheses.map(({ labels }) => labels)).toEqual([[1], []]);
    expect(hypotheses[0]!.logProb).toBeCloseTo(Math.log(0.64), 6);
    expect(proven).toBe(true);
  });
});

describe('what a frame loses', () => {
  test.each([1, 3, 31, 63, 64, 65, 127, 130, 1000, 5000])(
    '%i classes at any height: never less than what fell out, and hardly more',
    (classes) => {
      const rng = random(classes);
      for (const height of [0, -15.9, 15.9, 16.1, -16.1, 80, -300, 3e4])
        for (const spread of [0, 0.1, 3, 30]) {
          const row = Float32Array.from({ length: classes }, () =>
            rng.next() < 0.1 ? -Infinity : spread * rng.gaussian(),
          );
          const place = rng.integer(0, classes);
          row[place] = Math.max(0, ...row); // the greatest is finite
          const top = row[place];
          row.forEach((x, c) => (row[c] = x - top + height));
          const width = rng.integer(1, classes + 2);
          const [result] = beamDecodeSync(tensor(row, { shape: [1, classes] }), { width, rescore: false });
          const all = [...row].map((x) => Math.exp(x - row[place]!)).sort((a, b) => b - a);
          const lost = Math.exp(result!.lostLogProb - row[place]);
          const fell = all.slice(width).reduce((sum, p) => sum + p, 0);
          const total = all.reduce((sum, p) => sum + p, 0);
          const rounding = 1e-12 * total * (1 + Math.abs(height));
          expect(lost).toBeGreaterThanOrEqual(fell - rounding);
          expect(lost).toBeLessThanOrEqual(fell * (1 + 2e-4) + total * (4e-6 + 1.6e-8 * classes) + rounding);
        }
    },
  );

  test.each([3, 64, 150])('a NaN of any bits, and Infinity, are found in every place of %i classes', (classes) => {
    for (const bits of [0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff, 0x7fc00123, 0x7f800000])
      for (let c = 0; c < classes; c += classes > 64 ? 7 : 1)
        for (const rest of [-3, -Infinity, 3e38, -3e38]) {
          const scores = new Float32Array(2 * classes).fill(-1).fill(rest, classes);
          new Uint32Array(scores.buffer)[classes + c] = bits;
          expect(() => beamDecodeSync(tensor(scores, { shape: [2, classes] }), { width: 2 })).toThrow(
            'sequence 0, frame 1: a score is NaN or Infinity',
          );
        }
  });
});

describe('long sequences', () => {
  test('scores do not underflow, the exact one is ctcLoss, spans are those of ctcAlign', () => {
    const x = noise(3000, 20, 4);
    const [{ hypotheses }] = beamDecodeSync(x, { width: 16, nBest: 3, align: true }) as [
      ReturnType<typeof beamDecodeSync>[0],
    ];
    expect(hypotheses).toHaveLength(3);
    hypotheses.forEach(({ labels, score, logProb, spans }, k) => {
      expect(logProb).toBeCloseTo(-ctcLoss(x, labels).itemSync(), 3);
      expect(logProb).toBeGreaterThanOrEqual(score - 1e-3);
      expect(spans).toEqual(ctcAlignSync(x, labels)[0]!.spans);
      if (k > 0) expect(logProb).toBeLessThanOrEqual(hypotheses[k - 1]!.logProb);
    });
  });

  test('a batch is what its sequences are one by one, in both layouts and on any number of threads', async () => {
    const [T, N, C] = [200, 6, 12];
    const x = random(6).normal([T, N, C]).mul(3).logSoftmax(-1);
    const lengths = [200, 150, 0, 199, 1, 77];
    const all = beamDecodeSync(x, lengths, { width: 20, nBest: 4, rescore: false });
    all.forEach((result, n) => {
      const alone = x.slice(null, n).slice([0, lengths[n]!]);
      expect(beamDecodeSync(alone, { width: 20, nBest: 4, rescore: false })[0]).toEqual(result);
    });
    const options = { inputLengths: lengths, width: 20, nBest: 4, rescore: false };
    expect(beamDecodeSync(x.permute([1, 0, 2]), { ...options, layout: 'NTC' })).toEqual(all);
    setThreads(3);
    await warmThreads();
    expect(beamDecodeSync(x, options)).toEqual(all);
    setThreads(1);
    const remote = x.to(await remoteDevice());
    expect(await beamDecode(remote, options)).toEqual(all);
    expect(() => beamDecodeSync(remote, options)).toThrow('cannot be read synchronously');
  });

  test('logits are normalised; another blank is another class', () => {
    const logits = random(9).normal([60, 7]);
    const options = { width: 8, nBest: 8 };
    expect(beamDecodeSync(logits, { ...options, from: 'logits' })).toEqual(
      beamDecodeSync(logits.logSoftmax(-1), options),
    );
    const x = logits.logSoftmax(-1).arraySync<number[][]>();
    const turned = tensor(x.map(([first, ...rest]) => [...rest, first!]));
    const [a, b] = [beamDecodeSync(tensor(x), options)[0]!, beamDecodeSync(turned, { ...options, blank: 6 })[0]!];
    expect(b.hypotheses.map(({ labels }) => labels.map((label) => label + 1))).toEqual(
      a.hypotheses.map(({ labels }) => labels),
    );
  });
});

describe('a stream', () => {
  const x = noise(700, 9, 12, 4);
  const whole = (): BeamStream => new BeamStream(9, { width: 24 }).push(x);

  test.each([1, 7, 64, 300])('in pieces of %d frames is the whole, to the bit', (size) => {
    const stream = new BeamStream(9, { width: 24 });
    for (let t = 0; t < 700; t += size) {
      stream.push(x.slice([t, Math.min(t + size, 700)]));
      const { stable } = stream;
      expect(stream.partial().labels.slice(0, stable.length)).toEqual(stable);
    }
    expect(stream.readings()).toEqual(whole().readings());
    const [{ hypotheses }] = beamDecodeSync(x, { width: 24 }) as [ReturnType<typeof beamDecodeSync>[0]];
    const { labels, score } = stream.finish();
    expect(labels).toEqual(hypotheses[0]!.labels);
    expect(score).toBeCloseTo(hypotheses[0]!.score, 12);
  });

  test('short and long pieces in turn, of ordinary arrays and of a scope, are the whole, to the bit', () => {
    const y = noise(1000, 40, 5);
    const whole = new BeamStream(40, { width: 8 }).push(y);
    const before = memory().scopes;
    const stream = new BeamStream(40, { width: 8 });
    const ends = [3, 10, 500, 505, 550, 995, 1000];
    ends.forEach((end, i) => {
      const piece = (): Tensor => y.slice([i === 0 ? 0 : ends[i - 1]!, end]);
      if (i % 2) scope(() => stream.push(piece().mul(1)) && null);
      else stream.push(piece());
    });
    expect(stream.finish()).toEqual(whole.finish());
    expect(memory().scopes).toBeLessThan(before);
  });

  test('what is stable stays', () => {
    const stream = new BeamStream(9, { width: 24 });
    let before: readonly number[] = [];
    for (let t = 0; t < 700; t += 50) {
      stream.push(x.slice([t, t + 50]));
      const now = [...stream.stable];
      expect(now.slice(0, before.length)).toEqual(before);
      before = now;
    }
    expect(before.length).toBeGreaterThan(50);
    expect(stream.finish().labels.slice(0, before.length)).toEqual(before);
    expect(() => stream.push(x)).toThrow('[BeamStream.push] the stream is finished');
  });

  test.each([1, 3, 8])('a piece with a bad score in its frame %d changes nothing', (place) => {
    const stream = new BeamStream(9, { width: 24 }).push(x.slice([0, 300]));
    const before = stream.readings();
    for (const bad of [NaN, Infinity]) {
      const piece = x.slice([300, 310]).arraySync<number[][]>();
      piece[place]![4] = bad;
      expect(() => stream.push(tensor(piece))).toThrow(`frame ${300 + place}: a score is NaN or Infinity`);
      expect(stream.readings()).toEqual(before);
    }
    // Longer than there is room for at first, and bad at its very end: the state has grown in between.
    const long = concat([noise(3000, 9, 5, 1), tensor([[NaN, 0, 0, 0, 0, 0, 0, 0, 0]])], 0);
    expect(() => stream.push(long)).toThrow('frame 3300: a score is NaN');
    expect(stream.readings()).toEqual(before);
    expect(stream.push(x.slice([300, 700])).readings()).toEqual(whole().readings());
  });

  test('a piece that is impossible from some frame on ends all prefixes, unless it is bad after that', () => {
    const never = [-Infinity, -Infinity, -Infinity];
    const stream = new BeamStream(3, { width: 4 }).push(noise(20, 3, 1));
    const before = stream.readings();
    expect(() => stream.push(tensor([never, [0, NaN, 0]]))).toThrow('frame 21: a score is NaN');
    expect(stream.readings()).toEqual(before);
    stream.push(tensor([never]));
    expect(stream.readings()).toEqual([]);
    expect(BeamStream.restore(stream.save()).partial().score).toBe(-Infinity);
    expect(stream.push(noise(5, 3, 2)).finish().score).toBe(-Infinity);
  });

  test('labels that are taken are gone from it, and change nothing else', () => {
    const stream = new BeamStream(9, { width: 24 });
    const taken: number[] = [];
    for (let t = 0; t < 700; t += 35) {
      stream.push(x.slice([t, t + 35]));
      taken.push(...stream.take());
      expect(stream.taken).toBe(taken.length);
      expect(stream.stable).toEqual([]);
    }
    expect(taken.length).toBeGreaterThan(50);
    const all = whole().readings();
    expect(stream.readings().map(({ labels, ...rest }) => ({ labels: [...taken, ...labels], ...rest }))).toEqual(all);
    expect(BeamStream.restore(stream.save()).taken).toBe(taken.length);
  });

  test('an endless one stays in the same memory', () => {
    const frames = noise(1000, 9, 3, 4);
    const stream = new BeamStream(9, { width: 24 });
    const after = (count: number): number[] => {
      for (let i = 0; i < count; i++)
        for (let t = 0; t < 1000; t += 250) stream.push(frames.slice([t, t + 250])).take();
      return [memory().usedBytes, memory().reservedBytes, stream.save().state.size];
    };
    const before = after(20);
    const [used, reserved, saved] = after(40) as [number, number, number];
    expect([used, reserved]).toEqual(before.slice(0, 2));
    expect(saved).toBeLessThan(2 * before[2]! + 1000);
    expect(stream.taken).toBeGreaterThan(25_000);
    stream.finish();
    expect(memory().usedBytes).toBeLessThan(used);
  });

  test('labels before the horizon are settled as the likeliest prefix has them, in pieces of any size', () => {
    const frames = noise(5000, 9, 3, 4);
    const open = (stream: BeamStream): number => stream.partial().labels.length - stream.stable.length;
    const free = new BeamStream(9, { width: 24, horizon: 0 }).push(frames);
    const short = new BeamStream(9, { width: 24, horizon: 40 }).push(frames);
    expect(open(free)).toBeGreaterThan(1500);
    expect(open(short)).toBeLessThan(40 + 1024);
    // Prefixes that were dropped leave room for others.
    expect(short.partial().score).toBeGreaterThan(free.partial().score);
    const pieces = new BeamStream(9, { width: 24, horizon: 40 });
    for (let t = 0; t < 5000; t += 77) pieces.push(frames.slice([t, Math.min(t + 77, 5000)]));
    expect(pieces.readings()).toEqual(short.readings());
    expect(pieces.readings()).not.toEqual(free.readings());
    expect(() => new BeamStream(9, { horizon: -1 })).toThrow('horizon is -1; it must be a whole number');
    for (const classes of [0, 2 ** 24 + 1, 2 ** 33, 2 ** 53 - 1])
      expect(() => new BeamStream(classes)).toThrow(/classes is \d+; it must be a whole number from 1 to 16777216/);
    expect(() => BeamStream.restore(pieces.save(), { horizon: 41 })).toThrow("horizon is 41; the saved stream's is 40");
  });

  test('goes on after being saved and restored, through a file as well', async () => {
    const stream = new BeamStream(9, { width: 24 }).push(x.slice([0, 333]));
    const { tensors } = loadSafetensors(await saveSafetensors(stream.save()));
    const restored = BeamStream.restore(tensors, { width: 24, blank: 0 });
    expect(restored.push(x.slice([333, 700])).readings()).toEqual(stream.push(x.slice([333, 700])).readings());
    expect(() => restored.push(tensor([[NaN, 0, 0, 0, 0, 0, 0, 0, 0]]))).toThrow('frame 700');
    expect(() => BeamStream.restore(tensors, { width: 32 })).toThrow("width is 32; the saved stream's is 24");
    expect(() => BeamStream.restore(tensors, { blank: 1 })).toThrow("blank is 1; the saved stream's is 0");
  });

  test('nothing that was not saved is restored', () => {
    const parts = new BeamStream(9, { width: 24 }).push(x.slice([0, 333])).save();
    const other = new BeamStream(9, { width: 24 }).push(x.slice([0, 400])).save();
    const refused = (saved: Record<string, Tensor>): void => {
      expect(() => BeamStream.restore(saved)).toThrow(FormatError);
    };
    for (const name of ['sizes', 'settled', 'state'] as const) {
      const part = parts[name];
      const words = part.dataSync() as Int32Array;
      refused({ ...parts, [name]: other[name] });
      refused({ ...parts, [name]: part.slice([0, words.length - 1]) });
      refused({ ...parts, [name]: part.slice([0, 0]) });
      refused({ ...parts, [name]: concat([part, tensor([0], { dtype: 'int32' })], 0) });
      refused({ ...parts, [name]: part.cast('float32') });
      const rng = random(4);
      for (let k = 0; k < 60; k++) {
        const changed = words.slice();
        changed[rng.integer(0, words.length)]! ^= 1 << rng.integer(0, 32);
        refused({ ...parts, [name]: tensor(changed) });
      }
    }
    expect(() => BeamStream.restore({})).toThrow('[BeamStream.restore] a saved stream has three int32 lists');
    expect(() => BeamStream.restore({ ...parts, sizes: parts.sizes.add(1).cast('int32') })).toThrow('in version 2');
  });

  test('a state is checked beyond its check sum: parents, labels, prefixes and probabilities', () => {
    const states = new BeamStates(
      'test',
      { width: 4, classes: 3, blank: 0, horizon: 0, topClasses: 9, drop: Infinity },
      1,
    );
    states.advance(noise(6, 3, 1).buffer, Int32Array.of(6), 3, 0);
    const good = states.save(0);
    expect(states.restore(0, good)).toBe(true);
    expect(states.save(0)).toEqual(good);
    const rng = random(7);
    let refused = 0;
    for (let k = 0; k < 2000; k++) {
      const words = good.slice(0, rng.next() < 0.1 ? rng.integer(0, good.length) : good.length);
      for (let i = rng.integer(1, 4); i > 0; i--)
        words[rng.integer(0, words.length + 1)] =
          rng.next() < 0.5 ? rng.integer(-2, 20) : rng.integer(-(2 ** 31), 2 ** 31 - 1);
      if (!states.restore(0, words)) {
        refused++;
        expect(states.save(0)).toEqual(good);
      } else {
        // What is accepted is a beam, of other numbers: it goes on without a trap.
        states.advance(noise(9, 3, 2).buffer, Int32Array.of(9), 3, 0);
        states.read(0, 4);
        states.cut(0);
        expect(states.restore(0, good)).toBe(true);
      }
    }
    expect(refused).toBeGreaterThan(1000);
    states.close();
  });

  test('a finished one answers nothing else', () => {
    const stream = whole();
    expect(stream.finish()).toBe(stream.finish());
    const calls = {
      push: () => stream.push(x),
      partial: () => stream.partial(),
      readings: () => stream.readings(),
      stable: () => stream.stable,
      take: () => stream.take(),
      save: () => stream.save(),
    };
    for (const [name, call] of Object.entries(calls))
      expect(call).toThrow(`[BeamStream.${name}] the stream is finished`);
  });

  test('refuses what does not fit', () => {
    expect(() => new BeamStream(0)).toThrow('classes is 0');
    expect(() => new BeamStream(4, { blank: 4 })).toThrow('blank is 4');
    expect(() => whole().push(noise(3, 8, 1))).toThrow('logProbs is [3, 8]; it must be [frames, 9]');
    expect(() => whole().push(tensor([[NaN, 0, 0, 0, 0, 0, 0, 0, 0]]))).toThrow(
      'frame 700: a score is NaN or Infinity',
    );
  });
});

test.each([
  ['a width of 0', { width: 0 }, 'width is 0'],
  ['the blank between words', { separator: 0 }, 'separator is 0, which is the blank'],
  ['nBest above the width', { width: 2, nBest: 3 }, 'nBest is 3; it must be a whole number from 1 to the width, 2'],
  ['an unknown option', { beams: 4 }, "there is no option 'beams'"],
  ['a blank out of range', { blank: 9 }, 'blank is 9'],
  ['a length past the end', { inputLengths: [9] }, 'sequence 0: input length is 9'],
  ['a bad flag', { rescore: 1 }, 'rescore is 1'],
])('%s is refused', (_, options, message) => {
  expect(() => beamDecodeSync(noise(8, 5, 1), options as never)).toThrow(message);
});

test.each([NaN, Infinity])('a score of %d is refused by its place', (bad) => {
  const x = tensor([
    [0, -1],
    [bad, -1],
  ]);
  expect(() => beamDecodeSync(x)).toThrow('[beamDecodeSync] sequence 0, frame 1: a score is NaN or Infinity');
});

test('probabilities above 1, which a bonus for the blank makes, are not taken for logits', () => {
  const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  const x = tensor([
    [-0.01, -5],
    [-0.01, -5],
  ]);
  expect(beamDecodeSync(x, { blankPenalty: -5 })[0]!.hypotheses[0]!.logProb).toBeGreaterThan(9);
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});
