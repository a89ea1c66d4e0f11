// Reductions along the middle axis of [outer, axis, inner], for floats and whole numbers. A group takes whole rows; see rows.wgsl.
// include math.wgsl
// include rows.wgsl

struct ReduceParams { outer: u32, axis: u32, inner: u32 }
struct PartialSumsParams { outer: u32, axis: u32, inner: u32, parts: u32, whole: u32 }
struct CumsumParams { outer: u32, axis: u32, inner: u32, reverse: u32 }

// A sum is kept together with what rounding has lost, so that it is right to its last digit or two at any length. Of whole numbers nothing is.
struct Sum { total: IN, lost: IN }

fn opaqueIn(v: IN) -> IN { return bitcast<IN>(bitcast<u32>(v) ^ nothing); }

fn plus(sum: Sum, v: IN) -> Sum {
  let next = opaqueIn(sum.total + v);
  let back = opaqueIn(next - sum.total);
  return Sum(next, sum.lost + ((sum.total - opaqueIn(next - back)) + (v - back)));
}

fn totalOf(sum: Sum) -> IN { return select(sum.total, sum.total + sum.lost, isFinite(f32(sum.lost))); }

// == sum ==
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: ReduceParams;

// include totals.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let active_ = s.inRow && row < p.outer * p.inner;
  var part = Sum(IN(0), IN(0));
  if (active_) {
    let start = startOf(row, p.axis, p.inner);
    for (var j = s.lane; j < p.axis; j += s.lanes) { part = plus(part, x[start + j * p.inner]); }
  }
  let total = rowTotal(part, s, lanes);
  if (active_ && s.lane == 0u) { out[row] = totalOf(total); }
}

// include each-row.wgsl

// == partialSums == the sums of a long axis by parts of it: rows are [outer / parts, parts, inner], and `axis` is the length of a part of `whole`
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> totals: array<OUT>;
@group(0) @binding(2) var<storage, read_write> losses: array<OUT>;
@group(0) @binding(3) var<uniform> p: PartialSumsParams;

// include totals.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let active_ = s.inRow && row < p.outer * p.inner;
  var part = Sum(IN(0), IN(0));
  if (active_) {
    let place = row / p.inner;
    let start = place / p.parts * p.whole * p.inner + row % p.inner;
    let first = place % p.parts * p.axis;
    let end = min(first + p.axis, p.whole);
    for (var j = first + s.lane; j < end; j += s.lanes) { part = plus(part, x[start + j * p.inner]); }
  }
  let total = rowTotal(part, s, lanes);
  if (active_ && s.lane == 0u) {
    totals[row] = total.total;
    losses[row] = total.lost;
  }
}

// include each-row.wgsl

// == sumOfPartials ==
@group(0) @binding(0) var<storage, read> totals: array<IN>;
@group(0) @binding(1) var<storage, read> losses: array<IN>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: ReduceParams;

// include totals.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let active_ = s.inRow && row < p.outer * p.inner;
  var part = Sum(IN(0), IN(0));
  if (active_) {
    let start = startOf(row, p.axis, p.inner);
    for (var j = s.lane; j < p.axis; j += s.lanes) {
      part = plus(part, totals[start + j * p.inner]);
      part.lost += losses[start + j * p.inner];
    }
  }
  let total = rowTotal(part, s, lanes);
  if (active_ && s.lane == 0u) { out[row] = totalOf(total); }
}

// include each-row.wgsl

// == max ==
const IS_LARGEST = true;
fn resultOf(best: Extreme) -> OUT { return OUT(best.value); }

// include extremes.wgsl

// == min ==
const IS_LARGEST = false;
fn resultOf(best: Extreme) -> OUT { return OUT(best.value); }

// include extremes.wgsl

// == argmax ==
const IS_LARGEST = true;
fn resultOf(best: Extreme) -> OUT { return OUT(best.at); }

// include extremes.wgsl

// == argmin ==
const IS_LARGEST = false;
fn resultOf(best: Extreme) -> OUT { return OUT(best.at); }

// include extremes.wgsl

// == logSumExp ==
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: ReduceParams;

// include norms.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let norm = normOf(row, s, lanes);
  if (s.inRow && row < p.outer * p.inner && s.lane == 0u) {
    var result = norm.top;
    if (isFinite(norm.top)) { result += logarithm(norm.total); }
    out[row] = OUT(result);
  }
}

// include each-row.wgsl

// == cumsum == a thread takes a row
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: CumsumParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  for (var row = id.x; row < p.outer * p.inner; row += groups.x * WIDTH) {
    let start = startOf(row, p.axis, p.inner);
    var sum = Sum(IN(0), IN(0));
    for (var j = 0u; j < p.axis; j++) {
      let at = start + select(j, p.axis - 1u - j, p.reverse != 0u) * p.inner;
      sum = plus(sum, x[at]);
      out[at] = totalOf(sum);
    }
  }
}
