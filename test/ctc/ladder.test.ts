/**
 * The ladder of CTC's tiers: each rung against the one below on the same problems, from the recursion as the paper has it up to the fast tier. Which
 * sequence takes which rung is held in route.test.ts.
 */
import { random } from 'tapegrad';
import { solve } from './reference.js';
import { asLogProbs, expectClose, make, solveOn } from './rungs.js';

describe.each([
  [12, 4, 0],
  [60, 7, 0],
  [60, 7, 4],
  [200, 33, 0],
  [200, 33, 3],
  [2300, 5, 0],
] as const)('%d frames, %d classes, a path %d above the rest', (frames, classes, height) => {
  const problem = make(random(frames + classes), frames, classes, height);
  const logProbs = asLogProbs(problem);

  test.each(['logits', 'logProbs'] as const)('log against the recursion by definition, from %s', (from) => {
    const { shape, scores, targets, inputLengths } = from === 'logits' ? problem : logProbs;
    const given = { frames, batch: shape[1], classes: shape[2], blank: 0, scores, targets, inputLengths };
    const want = solve(given, from === 'logits');
    expectClose(solveOn('log', from, { shape, scores, targets, inputLengths }, 'float64'), want, 1e-12, 1e-10);
    expectClose(solveOn('log', from, { shape, scores, targets, inputLengths }), want, 6.1e-8, 6.1e-8);
  });

  test('precise against log', () => {
    expectClose(solveOn('precise', 'logits', problem), solveOn('log', 'logits', problem), 1.3e-7, 1.5e-7);
  });

  test('fast against log, from log-probabilities', () => {
    expectClose(solveOn('fast', 'logProbs', logProbs), solveOn('log', 'logProbs', logProbs), 1.3e-7, 1.3e-7);
  });

  if (frames > 31 && frames <= 2048)
    test('fast against precise', () => {
      expectClose(solveOn('fast', 'logits', problem), solveOn('precise', 'logits', problem), 1.3e-7, 1e-6);
    });
});
