// Layer normalisation of rows [rows, width] (Ba, Kiros and Hinton, arXiv:1607.06450) and its vjp. A group takes whole rows; see rows.wgsl.
// include row-sums.wgsl

struct LayerNormParams { rows: u32, width: u32, eps: f32 }
struct LayerNormVjpParams { rows: u32, width: u32 }

// == layerNorm ==
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(3) var<uniform> p: LayerNormParams;

// include lines.wgsl

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let s = shareRows(p.width, 1u, index);
  let lanes = lanesOf(p.width, 1u);
  let together = WIDTH / lanes;
  let count = p.rows;
  for (var first = group.x * together; first < count; first += groups.x * together) {
    let row = first + s.place;
    let active_ = s.inRow && row < count;
    let line = lineOf(row, p.width, 1u, active_);
    let mean = rowMean(line, s, lanes);
    let rest = rowRest(line, mean, s, lanes);
    let squares = rowSquares(line, mean, rest, s, lanes);
    let unit = squares.unit;
    // In units of `unit`, whose square may not be a float. Below 1 it is, or vanishes beside eps.
    var scale: f32;
    if (unit > 1.0f) {
      scale = 1.0f / squareRoot(squares.sum / f32(p.width) + p.eps / unit / unit) / unit;
    } else {
      scale = 1.0f / squareRoot(unit * (squares.sum / f32(p.width)) * unit + p.eps);
    }
    if (active_) {
      for (var i = s.lane; i < p.width; i += s.lanes) { out[line.start + i] = ((at(line, i) - mean) - rest) * scale; }
      if (s.lane == 0u) { rstd[row] = scale; }
    }
  }
}

// == layerNormVjp == rstd * (g - mean(g) - y * mean(g * y)), row by row
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> rstd: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> p: LayerNormVjpParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let s = shareRows(p.width, 1u, index);
  let lanes = lanesOf(p.width, 1u);
  let together = WIDTH / lanes;
  let count = p.rows;
  for (var first = group.x * together; first < count; first += groups.x * together) {
    let row = first + s.place;
    let active_ = s.inRow && row < count;
    let start = select(0u, row, active_) * p.width;
    var sum = Sum(0.0f, 0.0f);
    var products = Sum(0.0f, 0.0f);
    if (active_) {
      for (var i = s.lane; i < p.width; i += s.lanes) {
        sum = plus(sum, g[start + i]);
        products = plus(products, g[start + i] * y[start + i]);
      }
    }
    let mean = rowSum(sum, s, lanes) / f32(p.width);
    let weighted = rowSum(products, s, lanes) / f32(p.width);
    if (active_) {
      for (var i = s.lane; i < p.width; i += s.lanes) { out[start + i] = rstd[row] * (g[start + i] - mean - y[start + i] * weighted); }
    }
  }
}
