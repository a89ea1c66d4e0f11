// Normalised exponentials along the middle axis of [outer, axis, inner]. A group takes whole rows; see rows.wgsl. Of a row whose largest element
// is not finite they are NaN.
// include math.wgsl
// include rows.wgsl

struct SoftmaxParams { outer: u32, axis: u32, inner: u32 }

// == softmax ==
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: SoftmaxParams;

// include norms.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let norm = normOf(row, s, lanes);
  if (s.inRow && row < p.outer * p.inner) {
    let start = startOf(row, p.axis, p.inner);
    for (var j = s.lane; j < p.axis; j += s.lanes) {
      let at = start + j * p.inner;
      out[at] = select(notANumber(), exponential(x[at] - norm.top) / norm.total, isFinite(norm.top));
    }
  }
}

// include each-row.wgsl

// == logSoftmax ==
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: SoftmaxParams;

// include norms.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let norm = normOf(row, s, lanes);
  if (s.inRow && row < p.outer * p.inner) {
    let start = startOf(row, p.axis, p.inner);
    let logTotal = logarithm(norm.total);
    for (var j = s.lane; j < p.axis; j += s.lanes) {
      let at = start + j * p.inner;
      out[at] = select(notANumber(), (x[at] - norm.top) - logTotal, isFinite(norm.top));
    }
  }
}

// include each-row.wgsl
