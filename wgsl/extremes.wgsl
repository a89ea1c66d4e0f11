// The most extreme element of each row, or where it is: NaN before all, then the first of equals. Included by kernels that say whether the largest is
// wanted (`IS_LARGEST`) and what of it (`resultOf`).
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: ReduceParams;

struct Extreme { value: IN, at: u32 }

const NOWHERE = 0xffffffffu;
var<workgroup> values: array<IN, WIDTH>;
var<workgroup> positions: array<u32, WIDTH>;

fn beats(a: Extreme, b: Extreme) -> bool {
  // A whole number is no NaN as a float either.
  let oddA = isNaN(f32(a.value));
  let oddB = isNaN(f32(b.value));
  if (oddA || oddB) { return oddA && (!oddB || a.at < b.at); }
  if (a.value == b.value) { return a.at < b.at; }
  return select((a.value < b.value), (a.value > b.value), IS_LARGEST);
}

fn moreExtreme(a: Extreme, b: Extreme) -> Extreme {
  if (b.at == NOWHERE) { return a; }
  if (a.at == NOWHERE || beats(b, a)) { return b; }
  return a;
}

fn onRow(row: u32, s: Share, lanes: u32) {
  var best = Extreme(IN(0), NOWHERE);
  if (s.inRow && row < p.outer * p.inner) {
    let start = startOf(row, p.axis, p.inner);
    for (var j = s.lane; j < p.axis; j += s.lanes) { best = moreExtreme(best, Extreme(x[start + j * p.inner], j)); }
  }
  values[s.slot] = best.value;
  positions[s.slot] = best.at;
  workgroupBarrier();
  for (var span = lanes / 2u; span > 0u; span /= 2u) {
    if (s.inRow && s.lane < span) {
      best = moreExtreme(best, Extreme(values[s.slot + span], positions[s.slot + span]));
      values[s.slot] = best.value;
      positions[s.slot] = best.at;
    }
    workgroupBarrier();
  }
  if (s.inRow && row < p.outer * p.inner && s.lane == 0u) { out[row] = resultOf(best); }
}

// include each-row.wgsl
