// One frame of an LSTM or a GRU for a whole batch, and its vjp; a thread takes a hidden unit of a sequence, neighbours the same unit of other sequences, so
// that they read the same weights. Layouts are those of wasm/recurrent.ts. `place` counts the frames that came before, in the order of reading; for
// the vjps it counts backwards, and the place behind the last is the start's.
// include math.wgsl

struct CellParams { frames: u32, batch: u32, hidden: u32, reverse: u32, place: u32 }

fn sigmoid(x: f32) -> f32 {
  let e = exponential(-abs(x));
  return select(1.0f, e, isNegative(x)) / (1.0f + e);
}

// == lstmCell ==
@group(0) @binding(0) var<storage, read> projected: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<f32>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  let width = p.hidden;
  let slot = p.batch * width;
  let cells = (p.frames + 1u) * slot;
  let t = select(p.place, p.frames - 1u - p.place, p.reverse != 0u);
  let before = (t + p.reverse) * slot;
  let after = (t + 1u - p.reverse) * slot;
  for (var unit = id.x; unit < slot; unit += groups.x * WIDTH) {
    let n = unit % p.batch;
    let j = unit / p.batch;
    let own = n * width + j;
    if (p.place == 0u) {
      states[before + own] = start[own];
      states[cells + before + own] = start[slot + own];
    }
    let c0 = select(states[cells + before + own], start[slot + own], p.place == 0u);
    if (i32(t) >= counts[n]) {
      states[after + own] = select(states[before + own], start[own], p.place == 0u);
      states[cells + after + own] = c0;
      continue;
    }
    let row = (t * p.batch + n) * 4u * width + j;
    var sums = vec4f(bias[j], bias[width + j], bias[2u * width + j], bias[3u * width + j]);
    for (var k = 0u; k < width; k++) {
      let h = select(states[before + n * width + k], start[n * width + k], p.place == 0u);
      sums += h * vec4f(weight[j * width + k], weight[(width + j) * width + k], weight[(2u * width + j) * width + k], weight[(3u * width + j) * width + k]);
    }
    let i = sigmoid(projected[row] + sums.x);
    let f = sigmoid(projected[row + width] + sums.y);
    let g = hyperbolicTangent(projected[row + 2u * width] + sums.z);
    let o = sigmoid(projected[row + 3u * width] + sums.w);
    let c = f * c0 + i * g;
    gates[row] = i;
    gates[row + width] = f;
    gates[row + 2u * width] = g;
    gates[row + 3u * width] = o;
    states[cells + after + own] = c;
    states[after + own] = o * hyperbolicTangent(c);
  }
}

// == lstmCellVjp == `carried` holds what is passed on to the frame before, but for the product, which is formed when that frame's turn comes
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> states: array<f32>;
@group(0) @binding(2) var<storage, read> gates: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> projected: array<f32>;
@group(0) @binding(6) var<storage, read_write> carried: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  let width = p.hidden;
  let slot = p.batch * width;
  let cells = (p.frames + 1u) * slot;
  let isStart = p.place == p.frames;
  // The frame, in the order of reading; where its states lie, and the frame that was passed before.
  let k = p.frames - 1u - min(p.place, p.frames - 1u);
  let t = select(k, p.frames - 1u - k, p.reverse != 0u);
  let before = (t + p.reverse) * slot;
  let after = select((t + 1u - p.reverse) * slot, before, isStart);
  let passed = select(t + 1u - 2u * p.reverse, t, isStart);
  for (var unit = id.x; unit < slot; unit += groups.x * WIDTH) {
    let n = unit % p.batch;
    let j = unit / p.batch;
    let own = n * width + j;
    var dh = g[after + own];
    var dc = g[cells + after + own];
    if (p.place > 0u) {
      dh += carried[own];
      dc += carried[slot + own];
      let row = (passed * p.batch + n) * 4u * width;
      for (var q = 0u; q < 4u * width; q++) { dh += projected[row + q] * weight[q * width + j]; }
    }
    if (isStart) {
      carried[own] = dh;
      carried[slot + own] = dc;
      continue;
    }
    let row = (t * p.batch + n) * 4u * width + j;
    if (i32(t) >= counts[n]) {
      for (var q = 0u; q < 4u; q++) { projected[row + q * width] = 0.0f; }
      carried[own] = dh;
      carried[slot + own] = dc;
      continue;
    }
    let i = gates[row];
    let f = gates[row + width];
    let c = gates[row + 2u * width];
    let o = gates[row + 3u * width];
    let shown = hyperbolicTangent(states[cells + after + own]);
    dc += dh * o * (1.0f - shown * shown);
    projected[row] = dc * c * (i * (1.0f - i));
    projected[row + width] = dc * states[cells + before + own] * (f * (1.0f - f));
    projected[row + 2u * width] = dc * i * (1.0f - c * c);
    projected[row + 3u * width] = dh * shown * (o * (1.0f - o));
    carried[own] = 0.0f;
    carried[slot + own] = dc * f;
  }
}

// == gruCell ==
@group(0) @binding(0) var<storage, read> projected: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<f32>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  let width = p.hidden;
  let slot = p.batch * width;
  let t = select(p.place, p.frames - 1u - p.place, p.reverse != 0u);
  let before = (t + p.reverse) * slot;
  let after = (t + 1u - p.reverse) * slot;
  for (var unit = id.x; unit < slot; unit += groups.x * WIDTH) {
    let n = unit % p.batch;
    let j = unit / p.batch;
    let own = n * width + j;
    if (p.place == 0u) { states[before + own] = start[own]; }
    let held = select(states[before + own], start[own], p.place == 0u);
    if (i32(t) >= counts[n]) {
      states[after + own] = held;
      continue;
    }
    let row = (t * p.batch + n) * 3u * width + j;
    var sums = vec3f(bias[j], bias[width + j], bias[2u * width + j]);
    for (var k = 0u; k < width; k++) {
      let h = select(states[before + n * width + k], start[n * width + k], p.place == 0u);
      sums += h * vec3f(weight[j * width + k], weight[(width + j) * width + k], weight[(2u * width + j) * width + k]);
    }
    let r = sigmoid(projected[row] + sums.x);
    let z = sigmoid(projected[row + width] + sums.y);
    let c = hyperbolicTangent(projected[row + 2u * width] + r * sums.z);
    let to = (t * p.batch + n) * 4u * width + j;
    gates[to] = r;
    gates[to + width] = z;
    gates[to + 2u * width] = c;
    gates[to + 3u * width] = sums.z;
    states[after + own] = c + z * (held - c);
  }
}

// == gruCellVjp == as lstmCellVjp; `recurrent` are the cotangents of the product
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> states: array<f32>;
@group(0) @binding(2) var<storage, read> gates: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> projected: array<f32>;
@group(0) @binding(6) var<storage, read_write> recurrent: array<f32>;
@group(0) @binding(7) var<storage, read_write> carried: array<f32>;
@group(0) @binding(8) var<uniform> p: CellParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  let width = p.hidden;
  let slot = p.batch * width;
  let isStart = p.place == p.frames;
  let k = p.frames - 1u - min(p.place, p.frames - 1u);
  let t = select(k, p.frames - 1u - k, p.reverse != 0u);
  let before = (t + p.reverse) * slot;
  let after = select((t + 1u - p.reverse) * slot, before, isStart);
  let passed = select(t + 1u - 2u * p.reverse, t, isStart);
  for (var unit = id.x; unit < slot; unit += groups.x * WIDTH) {
    let n = unit % p.batch;
    let j = unit / p.batch;
    let own = n * width + j;
    var dh = g[after + own];
    if (p.place > 0u) {
      dh += carried[own];
      let row = (passed * p.batch + n) * 3u * width;
      for (var q = 0u; q < 3u * width; q++) { dh += recurrent[row + q] * weight[q * width + j]; }
    }
    if (isStart) {
      carried[own] = dh;
      continue;
    }
    let row = (t * p.batch + n) * 3u * width + j;
    if (i32(t) >= counts[n]) {
      for (var q = 0u; q < 3u; q++) {
        projected[row + q * width] = 0.0f;
        recurrent[row + q * width] = 0.0f;
      }
      carried[own] = dh;
      continue;
    }
    let source = (t * p.batch + n) * 4u * width + j;
    let r = gates[source];
    let z = gates[source + width];
    let c = gates[source + 2u * width];
    let dz = dh * (states[before + own] - c) * (z * (1.0f - z));
    let dc = dh * (1.0f - z) * (1.0f - c * c);
    let dr = dc * gates[source + 3u * width] * (r * (1.0f - r));
    projected[row] = dr;
    projected[row + width] = dz;
    projected[row + 2u * width] = dc;
    recurrent[row] = dr;
    recurrent[row + width] = dz;
    recurrent[row + 2u * width] = dc * r;
    carried[own] = dh * z;
  }
}
