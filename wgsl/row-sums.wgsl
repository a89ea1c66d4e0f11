// Sums and extremes over the threads that share a row, for kernels that work on whole rows. `lanes` is the row's number of threads, once more
// beside Share, from the parameters alone. Included by families.
// include rows.wgsl
// include sums.wgsl

var<workgroup> totals: array<f32, WIDTH>;
var<workgroup> losses: array<f32, WIDTH>;

// The sum of the row's parts, in all of its threads.
fn rowSum(own: Sum, s: Share, lanes: u32) -> f32 {
  var part = own;
  totals[s.slot] = part.total;
  losses[s.slot] = part.lost;
  workgroupBarrier();
  for (var span = lanes / 2u; span > 0u; span /= 2u) {
    if (s.inRow && s.lane < span) {
      part = plus(part, totals[s.slot + span]);
      part.lost += losses[s.slot + span];
      totals[s.slot] = part.total;
      losses[s.slot] = part.lost;
    }
    workgroupBarrier();
  }
  let total = totals[s.base];
  let lost = losses[s.base];
  workgroupBarrier();
  return select(total, total + lost, isFinite(lost));
}

// The largest of the row's parts, none of which is negative, in all of its threads; NaN where one is.
fn rowMax(part: f32, s: Share, lanes: u32) -> f32 {
  totals[s.slot] = part;
  workgroupBarrier();
  for (var span = lanes / 2u; span > 0u; span /= 2u) {
    if (s.inRow && s.lane < span) { totals[s.slot] = larger(totals[s.slot], totals[s.slot + span]); }
    workgroupBarrier();
  }
  let most = totals[s.base];
  workgroupBarrier();
  return most;
}
