// Made-up log-probabilities that look like a network's, for the decoders' benchmarks: peaks of a frame or two, blanks between, some labels
// misread, some unsure.
import { random } from '../dist/index.js';

/** What the network is like: sure of itself, less sure, without any sense, or without any opinion. */
const KINDS = {
  peaky: { spread: 1, blank: 9, above: [3, 7] },
  unsure: { spread: 1.5, blank: 5, above: [1, 3] },
  nonsense: { spread: 3, blank: 0, above: null },
  flat: { spread: 0, blank: 0, above: null },
};

/**
 * Scores [frames * classes] and the target that they are about.
 * @param errors the share of labels that another one stands in for.
 */
export function emissions({ frames, classes, labels, kind = 'peaky', errors = 0.05, seed = 1, target = null }) {
  const rng = random(seed);
  const { spread, blank, above } = KINDS[kind];
  const other = () => rng.integer(1, classes);
  const read = target ?? Int32Array.from({ length: labels }, other);
  const x = new Float32Array(frames * classes);
  for (let i = 0; i < x.length; i++) x[i] = spread * rng.gaussian();
  if (above) {
    for (let t = 0; t < frames; t++) x[t * classes] += blank;
    const gaps = Float64Array.from(read, () => 0.2 + rng.next());
    const total = gaps.reduce((a, b) => a + b, 0.7);
    let [sum, before] = [0, -2];
    read.forEach((label, i) => {
      sum += gaps[i];
      const at = Math.max(before + 2, Math.min(frames - 2 * (read.length - i), Math.floor((sum / total) * frames)));
      before = at;
      const height = blank + above[0] + (above[1] - above[0]) * rng.next();
      const misread = rng.next() < errors ? other() : 0;
      const end = Math.min(at + (rng.next() < 0.4 ? 2 : 1), frames);
      for (let t = at; t < end; t++) {
        x[t * classes + label] += misread ? height - 2 - 4 * rng.next() : height;
        if (misread) x[t * classes + misread] += height;
        x[t * classes + other()] += height - 1 - 3 * rng.next();
      }
    });
  }
  for (let t = 0; t < frames; t++) {
    const row = x.subarray(t * classes, (t + 1) * classes);
    const top = row.reduce((a, b) => Math.max(a, b));
    const norm = top + Math.log(row.reduce((z, v) => z + Math.exp(v - top), 0));
    for (let c = 0; c < classes; c++) row[c] -= norm;
  }
  return { scores: x, target: read };
}
