/**
 * The rungs for what ordinary batches do not have: losses next to 0 (sure.ts), states that differ by more than float64's exponents hold (gauge.ts), and
 * untrained networks with many classes, of which only the target's are made precise.
 */
import { ctcLoss, random, resetCtcStatistics, tensor } from 'tapegrad';
import { asLogProbs, expectClose, expectTaken, make, type Problem, type Rung, sequenceOf, solveUpTo } from './rungs.js';

/**
 * That losses and gradients keep their digits, however small: every frame's gradient within 2e-6 of its own largest. Below its normal numbers
 * float32 has none. Either may be off by `least`: what the oracle has lost itself, where alignments weigh the same.
 */
function expectDigits(problem: Problem, least = 0): void {
  const { shape, scores, targets, inputLengths } = problem;
  const [frames, batch, classes] = shape;
  const got = solveUpTo('fast', 'logits', problem);
  expectTaken('sure', problem);
  const want = solveUpTo('log', 'logits', problem, 'float64');
  resetCtcStatistics();
  const alone = ctcLoss(tensor(scores, { shape }), targets, inputLengths, undefined, { from: 'logits' }).dataSync();
  expectTaken('sure', problem);
  for (let n = 0; n < batch; n++) {
    const loss = want.losses[n]!;
    for (const value of [got.losses[n]!, alone[n]!])
      expect(Math.abs(value - loss)).toBeLessThanOrEqual(2e-7 * loss + Math.max(least, 1.5e-45));
    for (let t = 0; t < frames; t++) {
      const row = (t * batch + n) * classes;
      let [largest, error] = [0, 0];
      for (let i = row; i < row + classes; i++) {
        largest = Math.max(largest, Math.abs(want.gradient[i]!));
        error = Math.max(error, Math.abs(got.gradient[i]! - want.gradient[i]!));
      }
      expect(error).toBeLessThanOrEqual(2e-6 * largest + Math.max(least, 1.2e-38));
    }
  }
}

describe('all but certain', () => {
  test.each([
    [12, 4, 24],
    [31, 5, 22],
    [60, 7, 25],
    [200, 33, 30],
    [200, 33, 60],
    [90, 3, 85],
    [513, 12, 40],
    [2500, 6, 30],
  ])('%d frames, %d classes, a path %d above the rest', (frames, classes, height) => {
    expectDigits(make(random(frames + height), frames, classes, height));
  });

  test('frames that may as well be of another alignment, and labels that come twice', () => {
    // Between the labels, and between them and blanks, frames lean to one side by a little: no path is certain, but the target is.
    const lean = (t: number): number => [0.3, 4, -2, 1][t % 4]!;
    const target = [1, 2, 2, 3, 1, 1];
    const states = [0, ...target.flatMap((label) => [label, 0])];
    const at = (t: number): number => Math.floor(t / 9);
    expectDigits(
      sequenceOf(9 * states.length, 5, target, (t, c) => {
        const [own, next] = [states[at(t)]!, states[at(t) + 1]];
        if (c === own) return 40;
        return c === next && t % 9 === 8 ? 40 - Math.abs(lean(t)) : -Math.abs(Math.sin(7 * t + 3 * c));
      }),
      1e-14,
    );
  });

  test('an empty target, and one label in every frame', () => {
    expectDigits(sequenceOf(40, 4, [], (t, c) => (c === 0 ? 30 : Math.sin(5 * t + c))));
    expectDigits(sequenceOf(40, 4, [2], (t, c) => (c === 2 ? 30 : Math.sin(5 * t + c))));
    expectDigits(sequenceOf(3, 4, [2, 1, 2], (t, c) => (c === [2, 1, 2][t] ? 30 : Math.sin(5 * t + c))));
  });

  test('beyond what float32 holds, 0', () => {
    const problem = sequenceOf(40, 4, [2], (t, c) => (c === (t === 20 ? 2 : 0) ? 120 + t : 0));
    const { losses, gradient } = solveUpTo('fast', 'logits', problem);
    expectTaken('sure', problem);
    expect(losses[0]).toBe(0);
    expect(Array.from(gradient).every((x) => Math.abs(x) === 0)).toBe(true);
  });

  test('infinite logits that are impossible', () => {
    expectDigits(
      sequenceOf(50, 5, [1, 2], (t, c) => {
        const peak = t < 10 ? 0 : t < 20 ? 1 : t < 35 ? 0 : 2;
        return c === peak ? 30 : c === 4 ? -Infinity : Math.sin(t + 2 * c);
      }),
    );
  });
});

describe('scales for every cell', () => {
  const check = (rung: Rung, problem: Problem, from: 'logits' | 'logProbs'): void => {
    const got = solveUpTo('fast', from, problem);
    expectTaken(rung, problem);
    const want = solveUpTo('log', from, problem, 'float64');
    expectClose(got, want, 1.3e-7, from === 'logits' ? 1e-6 : 1.3e-7);
    const { scores, shape, targets, inputLengths } = problem;
    resetCtcStatistics();
    const losses = ctcLoss(tensor(scores, { shape }), targets, inputLengths, undefined, { from }).dataSync();
    expectTaken(rung, problem);
    expectClose({ losses, gradient: [] }, { losses: want.losses, gradient: [] }, 1.3e-7, 0);
  };

  /** Noise, and a target that is spelled in no particular place. */
  const noise = (frames: number, labels: number, size = 1, classes = 32): Problem => {
    const rng = random(frames + labels);
    const scores = rng.normal([frames, 1, classes]).mul(size).dataSync() as Float32Array;
    const targets = [Array.from({ length: labels }, () => rng.integer(1, classes))];
    return { shape: [frames, 1, classes], scores, targets, inputLengths: [frames] };
  };

  test.each([
    [8000, 100, 1],
    [3000, 400, 1],
    [3000, 2900, 1],
    [2200, 300, 4],
    [6000, 3, 2],
    [5001, 0, 1],
    [2049, 1000, 3],
  ])('noise of %d frames for %d labels, %d large', (frames, labels, size) => {
    const problem = noise(frames, labels, size, labels > 1000 ? 8 : 32);
    // As many labels as that may not fit, with blanks between equal ones.
    if (labels > 1000) problem.targets[0]!.forEach((_, i, target) => void ((target as number[])[i] = 1 + (i % 2)));
    check('precise', problem, 'logits');
    check('fast', asLogProbs(problem), 'logProbs');
  });

  test('labels that are far less likely than the blank, in few frames', () => {
    const faint = (depth: number): Problem =>
      sequenceOf(
        400,
        60,
        Array.from({ length: 58 }, (_, i) => i + 1),
        (t, c) => (c === 0 ? 0 : -depth + 0.1 * Math.sin(t + c * c)),
      );
    check('precise', faint(30), 'logits');
    check('fast', asLogProbs(faint(30)), 'logProbs');
    check('precise', faint(40), 'logits');
  });

  test.each([
    [2500, 400, 20, 1],
    [2100, 150, 30, 1],
    [2200, 900, 10, 2],
    [2500, 1200, 10, 1],
  ])('%d frames for %d labels %d below the blank, %d of them different', (frames, count, depth, different) => {
    // The pass forward takes a blank between equal neighbours, and so comes later to a label than the band of cells says.
    const rng = random(frames + count);
    const target = Array.from({ length: count }, () => 1 + rng.integer(0, different));
    const problem = sequenceOf(frames, 4, target, (_, c) => (c === 0 ? 0 : -depth) + 0.1 * rng.gaussian());
    check('precise', problem, 'logits');
    check('fast', asLogProbs(problem), 'logProbs');
  });

  test('a target in the first frames only, or in the last', () => {
    for (const late of [false, true])
      check(
        'precise',
        sequenceOf(
          4000,
          8,
          Array.from({ length: 60 }, (_, i) => 1 + (i % 7)),
          (t, c) => ((late ? t >= 3800 : t < 200) === c > 0 ? 3 : 0) + Math.sin(11 * t + 5 * c * c),
        ),
        'logits',
      );
  });
});

describe('untrained networks with many classes', () => {
  test.each([
    [60, 2000, 12, 0.01],
    [60, 2000, 12, 0],
    [100, 20_000, 20, 0.01],
    [50, 500, 5, 0.005],
  ])('%d frames of %d classes, %d labels, noise of %d', (frames, classes, labels, size) => {
    const rng = random(classes);
    const targets = [Array.from({ length: labels }, () => rng.integer(1, classes))];
    for (const offset of [0, 3.3, -200, 5000]) {
      // A bias that is the same in every frame: the roundings of its exponentials all have one direction.
      const bias = Array.from({ length: classes }, () => offset + rng.gaussian() * 0.3);
      const scores = new Float32Array(frames * classes).map((_, i) => bias[i % classes]! + size * rng.gaussian());
      const problem: Problem = { shape: [frames, 1, classes], scores, targets, inputLengths: [frames] };
      const got = solveUpTo('fast', 'logits', problem);
      expectTaken('precise', problem);
      expectClose(got, solveUpTo('log', 'logits', problem, 'float64'), 1e-7, 5e-7);
    }
  });
});
