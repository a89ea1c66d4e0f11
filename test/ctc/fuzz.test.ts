import { setThreads } from 'tapegrad';
import { fuzz } from './fuzz.js';

beforeAll(() => {
  setThreads(1);
});

test('6000 random sequences: the certificate accepts nothing wrong', () => {
  const report = fuzz(6000, 20261);
  expect(report.examples).toEqual([]);
  expect(report.falseAccepts).toBe(0);
  expect(report.differences).toBe(0);
  // Both tiers and the lengths had their say.
  expect(report.tiers.linear).toBeGreaterThan(2000);
  expect(report.tiers.log).toBeGreaterThan(300);
  expect(report.tiers.lengths).toBeGreaterThan(300);
  expect(report.split).toBeGreaterThan(2000);
  expect(report.worstGradient).toBeGreaterThan(0);
});
