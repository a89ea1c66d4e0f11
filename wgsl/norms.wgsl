// The largest element of a row and the sum of exp(x - largest), in every thread of the row; the sum is 0 where the largest is not finite.
// Included behind the buffers' declarations.
struct Norm { top: f32, total: f32 }

var<workgroup> values: array<f32, WIDTH>;

fn normOf(row: u32, s: Share, lanes: u32) -> Norm {
  let active_ = s.inRow && row < p.outer * p.inner;
  let start = startOf(select(0u, row, active_), p.axis, p.inner);
  var norm = Norm(-infinity(), 0.0f);
  if (active_) { for (var j = s.lane; j < p.axis; j += s.lanes) { norm.top = larger(norm.top, f32(x[start + j * p.inner])); } }
  values[s.slot] = norm.top;
  workgroupBarrier();
  for (var span = lanes / 2u; span > 0u; span /= 2u) {
    if (s.inRow && s.lane < span) { values[s.slot] = larger(values[s.slot], values[s.slot + span]); }
    workgroupBarrier();
  }
  norm.top = values[s.base];
  workgroupBarrier();
  if (active_ && isFinite(norm.top)) {
    for (var j = s.lane; j < p.axis; j += s.lanes) { norm.total += exponential(f32(x[start + j * p.inner]) - norm.top); }
  }
  values[s.slot] = norm.total;
  workgroupBarrier();
  for (var span = lanes / 2u; span > 0u; span /= 2u) {
    if (s.inRow && s.lane < span) { values[s.slot] += values[s.slot + span]; }
    workgroupBarrier();
  }
  norm.total = values[s.base];
  workgroupBarrier();
  return norm;
}
