// The vjp of softmax along the middle axis of y[outer, axis, inner], its result: out = g y - y sum(g y). A group takes whole rows; see rows.wgsl.
// include row-sums.wgsl

struct SoftmaxVjpParams { outer: u32, axis: u32, inner: u32 }

// A product with 0 is 0, whatever the other factor: what has no probability has no part in the derivative.
fn productOf(a: f32, b: f32) -> f32 { return select(a * b, 0.0f, a == 0.0f || b == 0.0f); }

// == softmaxVjp ==
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> p: SoftmaxVjpParams;

fn onRow(row: u32, s: Share, lanes: u32) {
  let active_ = s.inRow && row < p.outer * p.inner;
  let start = startOf(select(0u, row, active_), p.axis, p.inner);
  var sum = Sum(0.0f, 0.0f);
  if (active_) {
    for (var j = s.lane; j < p.axis; j += s.lanes) {
      let at = start + j * p.inner;
      sum = plus(sum, productOf(g[at], y[at]));
    }
  }
  let share = rowSum(sum, s, lanes);
  if (active_) {
    for (var j = s.lane; j < p.axis; j += s.lanes) {
      let at = start + j * p.inner;
      out[at] = productOf(g[at], y[at]) - productOf(y[at], share);
    }
  }
}

// include each-row.wgsl
