// Fourier transforms of real rows by their definition: a thread for each bin or sample. The host has the fast ones.
// include sums.wgsl

struct FftParams { rows: u32, samples: u32, bins: u32, n: u32, edge: f32, inner: f32 }

// (cos, sin) of t nths of a turn, t < n. The angle is brought within an eighth of a turn in whole numbers, so that no digit is lost.
fn rootOf(t: u32, n: u32) -> vec2f {
  let below = 2u * t > n;
  var a = select(2u * t, 2u * (n - t), below);
  let left = 2u * a > n;
  if (left) { a = n - a; }
  let steep = 4u * a > n;
  let part = select(f32(a) / f32(n), 0.5f * (f32(n - min(n, 2u * a)) / f32(n)), steep);
  let angle = 3.1415926535897932f * part;
  let s = sine(angle);
  let c = cosine(angle);
  let x = select(c, s, steep);
  let y = select(s, c, steep);
  return vec2f(select(x, -x, left), select(y, -y, below));
}

fn isEdge(k: u32, n: u32) -> bool { return k == 0u || 2u * k == n; }

// == rfft == out[rows, bins, 2]: x[rows, samples], filled up with zeros to n, times `edge` or `inner`
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: FftParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  for (var i = id.x; i < p.rows * p.bins; i += groups.x * WIDTH) {
    let k = i % p.bins;
    let start = i / p.bins * p.samples;
    var re = Sum(0.0f, 0.0f);
    var im = Sum(0.0f, 0.0f);
    var t = 0u;
    for (var j = 0u; j < p.samples; j++) {
      let root = rootOf(t, p.n);
      re = plus(re, x[start + j] * root.x);
      im = plus(im, -x[start + j] * root.y);
      t += k;
      if (t >= p.n) { t -= p.n; }
    }
    let scale = select(p.inner, p.edge, isEdge(k, p.n));
    out[2u * i] = scale * valueOf(re);
    out[2u * i + 1u] = scale * valueOf(im);
  }
}

// == irfft == out[rows, samples]: the bins x[rows, bins, 2] times `edge` or `inner` and their roots, real parts; the adjoint of rfft
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: FftParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  for (var i = id.x; i < p.rows * p.samples; i += groups.x * WIDTH) {
    let j = i % p.samples;
    let start = i / p.samples * p.bins;
    var sum = Sum(0.0f, 0.0f);
    var t = 0u;
    for (var k = 0u; k < p.bins; k++) {
      let root = rootOf(t, p.n);
      let at = 2u * (start + k);
      if (isEdge(k, p.n)) {
        sum = plus(sum, p.edge * x[at] * root.x);
      } else {
        sum = plus(sum, p.inner * x[at] * root.x);
        sum = plus(sum, -p.inner * x[at + 1u] * root.y);
      }
      t += j;
      if (t >= p.n) { t -= p.n; }
    }
    out[i] = valueOf(sum);
  }
}
