// What the benchmarks share: fair timing of alternatives side by side, and a description of the machine.
import { cpus } from 'node:os';

/** Milliseconds of one call of each alternative: the median and the best over `rounds`, the alternatives taking turns. */
export async function race(alternatives, { rounds = 15, minRoundMs = 20 } = {}) {
  const entries = Object.entries(alternatives);
  const calls = new Map();
  for (const [name, run] of entries) {
    const warm = performance.now();
    let count = 0;
    // The first calls run unoptimised code, and some engines compile on first use.
    while (count < 3 || performance.now() - warm < 200) {
      await run();
      count++;
    }
    const start = performance.now();
    await run();
    calls.set(name, Math.max(1, Math.ceil(minRoundMs / (performance.now() - start))));
  }
  const times = new Map(entries.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of entries) {
      const count = calls.get(name);
      const start = performance.now();
      for (let i = 0; i < count; i++) await run();
      times.get(name).push((performance.now() - start) / count);
    }
  }
  return Object.fromEntries(
    [...times].map(([name, list]) => {
      list.sort((a, b) => a - b);
      return [name, { median: list[list.length >> 1], best: list[0], worst: list[list.length - 1] }];
    }),
  );
}

/** One line that says where the numbers come from. */
export const machine = () =>
  `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`;

/** Milliseconds of processor time of one call: the median of five rounds after a warm-up, or of the only one where a call takes long. */
export function processorTime(run, milliseconds = 200) {
  const once = () => {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
  const first = once();
  if (first > milliseconds) return first;
  for (let warm = first; warm < milliseconds; warm += once());
  const count = Math.max(1, Math.ceil(milliseconds / 5 / Math.max(once(), 0.01)));
  const rounds = [];
  for (let round = 0; round < 5; round++) {
    const start = process.cpuUsage();
    for (let i = 0; i < count; i++) run();
    const { user, system } = process.cpuUsage(start);
    rounds.push((user + system) / 1000 / count);
  }
  return rounds.sort((a, b) => a - b)[2];
}

/** The same of several alternatives that take turns, so that a ratio of them is fair on a machine that is busy with other things: medians of nine rounds. */
export function processorTimes(runs, milliseconds = 200) {
  const counts = runs.map((run) =>
    Math.max(1, Math.ceil(milliseconds / 9 / Math.max(processorTime(run, milliseconds / 9), 0.01))),
  );
  const rounds = runs.map(() => []);
  for (let round = 0; round < 9; round++)
    runs.forEach((run, i) => {
      const start = process.cpuUsage();
      for (let k = 0; k < counts[i]; k++) run();
      const { user, system } = process.cpuUsage(start);
      rounds[i].push((user + system) / 1000 / counts[i]);
    });
  return rounds.map((times) => times.sort((a, b) => a - b)[4]);
}
