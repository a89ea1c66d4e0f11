// Mean, deviations from it, variance and Euclidean norm along the middle axis of [outer, axis, inner]. A group takes whole rows; see rows.wgsl.
// include row-sums.wgsl

struct MomentParams { outer: u32, axis: u32, inner: u32 }
struct VarianceParams { outer: u32, axis: u32, inner: u32, correction: f32 }
struct NormParams { outer: u32, axis: u32, inner: u32, scale: f32 }

// == mean ==
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: MomentParams;

// include lines.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let active_ = s.inRow && row < p.outer * p.inner;
  let line = lineOf(row, p.axis, p.inner, active_);
  let mean = rowMean(line, s, lanes);
  if (active_ && s.lane == 0u) { out[row] = mean; }
}

// include each-row.wgsl

// == center == x less its mean
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: MomentParams;

// include lines.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let active_ = s.inRow && row < p.outer * p.inner;
  let line = lineOf(row, p.axis, p.inner, active_);
  let mean = rowMean(line, s, lanes);
  let rest = rowRest(line, mean, s, lanes);
  if (active_) { for (var j = s.lane; j < p.axis; j += s.lanes) { out[line.start + j * p.inner] = (at(line, j) - mean) - rest; } }
}

// include each-row.wgsl

// == variance ==
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: VarianceParams;

// include lines.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let active_ = s.inRow && row < p.outer * p.inner;
  let line = lineOf(row, p.axis, p.inner, active_);
  let mean = rowMean(line, s, lanes);
  let rest = rowRest(line, mean, s, lanes);
  let squares = rowSquares(line, mean, rest, s, lanes);
  // Not times the unit's square, which may be beyond all floats.
  if (active_ && s.lane == 0u) { out[row] = opaque(squares.unit * (squares.sum / (f32(p.axis) - p.correction))) * squares.unit; }
}

// include each-row.wgsl

// == norm == the square root of the sum of squares, times `scale`
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: NormParams;

// include lines.wgsl

fn onRow(row: u32, s: Share, lanes: u32) {
  let active_ = s.inRow && row < p.outer * p.inner;
  let line = lineOf(row, p.axis, p.inner, active_);
  let squares = rowSquares(line, 0.0f, 0.0f, s, lanes);
  if (active_ && s.lane == 0u) { out[row] = squareRoot(squares.sum) * (squares.unit * p.scale); }
}

// include each-row.wgsl
