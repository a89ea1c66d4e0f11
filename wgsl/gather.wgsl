// Reading and adding at positions along the middle axis of [outer, axis, inner]. The positions have been checked on the host. IN and OUT
// are the element types, set by the backend.

struct GatherParams { outer: u32, axis: u32, inner: u32, count: u32 }

// == take == out[o, j, i] = x[o, indices[j], i]
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: GatherParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var e = id.x; e < p.outer * p.count * p.inner; e += groups.x * WIDTH) {
    let i = e % p.inner;
    let j = e / p.inner % p.count;
    let o = e / (p.inner * p.count);
    out[e] = x[(o * p.axis + u32(indices[j])) * p.inner + i];
  }
}

// == takeAdjoint == out[o, indices[j], i] += x[o, j, i]: a thread goes through the positions in order, so that sums do not depend on chance
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: GatherParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var e = id.x; e < p.outer * p.inner; e += groups.x * WIDTH) {
    let i = e % p.inner;
    let o = e / p.inner;
    for (var j = 0u; j < p.count; j++) {
      out[(o * p.axis + u32(indices[j])) * p.inner + i] += x[(o * p.count + j) * p.inner + i];
    }
  }
}

// == takeAlongAxis == out[o, j, i] = x[o, indices[o, j, i], i]
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: GatherParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var e = id.x; e < p.outer * p.count * p.inner; e += groups.x * WIDTH) {
    let i = e % p.inner;
    let o = e / (p.inner * p.count);
    out[e] = x[(o * p.axis + u32(indices[e])) * p.inner + i];
  }
}

// == scatterAlongAxis == out[o, indices[o, j, i], i] += x[o, j, i]
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: GatherParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var e = id.x; e < p.outer * p.inner; e += groups.x * WIDTH) {
    let i = e % p.inner;
    let o = e / p.inner;
    for (var j = 0u; j < p.count; j++) {
      let at = (o * p.count + j) * p.inner + i;
      out[(o * p.axis + u32(indices[at])) * p.inner + i] += x[at];
    }
  }
}
