// How a data parallel step grows with the ranks, on paper: an allreduce of n bytes over p ranks takes the shorter of log2(p) (alpha + n / rate) (recursive
// doubling) and 2 log2(p) alpha + 2 n (p - 1) / p / rate (Rabenseifner); and all wait for the slowest, by the expected maximum of p normal samples.

const allreduce = (p, bytes, { alpha, rate }) => {
  const rounds = Math.ceil(Math.log2(p));
  return Math.min(rounds * (alpha + bytes / rate), 2 * rounds * alpha + (2 * bytes * (p - 1)) / p / rate);
};

/** The expected maximum of p normal samples above their mean, in deviations (the asymptotic formula from 3 on). */
const slowest = (p) => {
  if (p === 1) return 0;
  if (p === 2) return Math.PI ** -0.5;
  const root = Math.sqrt(2 * Math.log(p));
  return root - (Math.log(Math.log(p)) + Math.log(4 * Math.PI)) / (2 * root);
};

/** Seconds of a step, of which `compute` are useful. `header` bytes are what ranks agree with before the allreduce. */
export function step(p, { compute, spread, bytes }, link, header = 32) {
  return compute + spread * slowest(p) + (p === 1 ? 0 : allreduce(p, bytes, link) + allreduce(p, header, link));
}

/** Lines of a table: efficiency over 2 to 1024 ranks. */
export function table(work, links) {
  const ranks = [2, 8, 64, 256, 1024];
  return Object.entries(links).map(([name, link]) => {
    const cells = ranks.map((p) => `${p}: ${((100 * work.compute) / step(p, work, link)).toFixed(0)} %`);
    return `  ${name.padEnd(30)} ${cells.join('   ')}`;
  });
}
