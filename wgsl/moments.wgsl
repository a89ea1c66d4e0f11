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

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let s = shareRows(p.axis, p.inner, index);
  let lanes = lanesOf(p.axis, p.inner);
  let together = WIDTH / lanes;
  let count = p.outer * p.inner;
  for (var first = group.x * together; first < count; first += groups.x * together) {
    let row = first + s.place;
    let active_ = s.inRow && row < count;
    let line = lineOf(row, p.axis, p.inner, active_);
    let mean = rowMean(line, s, lanes);
    if (active_ && s.lane == 0u) { out[row] = mean; }
  }
}

// == center == x less its mean
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: MomentParams;

// include lines.wgsl

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let s = shareRows(p.axis, p.inner, index);
  let lanes = lanesOf(p.axis, p.inner);
  let together = WIDTH / lanes;
  let count = p.outer * p.inner;
  for (var first = group.x * together; first < count; first += groups.x * together) {
    let row = first + s.place;
    let active_ = s.inRow && row < count;
    let line = lineOf(row, p.axis, p.inner, active_);
    let mean = rowMean(line, s, lanes);
    let rest = rowRest(line, mean, s, lanes);
    if (active_) { for (var j = s.lane; j < p.axis; j += s.lanes) { out[line.start + j * p.inner] = (at(line, j) - mean) - rest; } }
  }
}

// == variance ==
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: VarianceParams;

// include lines.wgsl

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let s = shareRows(p.axis, p.inner, index);
  let lanes = lanesOf(p.axis, p.inner);
  let together = WIDTH / lanes;
  let count = p.outer * p.inner;
  for (var first = group.x * together; first < count; first += groups.x * together) {
    let row = first + s.place;
    let active_ = s.inRow && row < count;
    let line = lineOf(row, p.axis, p.inner, active_);
    let mean = rowMean(line, s, lanes);
    let rest = rowRest(line, mean, s, lanes);
    let squares = rowSquares(line, mean, rest, s, lanes);
    if (active_ && s.lane == 0u) { out[row] = squares.unit * (squares.sum / (f32(p.axis) - p.correction)) * squares.unit; }
  }
}

// == norm == the square root of the sum of squares, times `scale`
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: NormParams;

// include lines.wgsl

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let s = shareRows(p.axis, p.inner, index);
  let lanes = lanesOf(p.axis, p.inner);
  let together = WIDTH / lanes;
  let count = p.outer * p.inner;
  for (var first = group.x * together; first < count; first += groups.x * together) {
    let row = first + s.place;
    let active_ = s.inRow && row < count;
    let line = lineOf(row, p.axis, p.inner, active_);
    let squares = rowSquares(line, 0.0f, 0.0f, s, lanes);
    if (active_ && s.lane == 0u) { out[row] = squareRoot(squares.sum) * (squares.unit * p.scale); }
  }
}
