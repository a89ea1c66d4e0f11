// Reading and adding at positions along the middle axis of [outer, axis, inner]. The positions have been checked on the host. IN and OUT
// are the element types, set by the backend.

struct GatherParams { outer: u32, axis: u32, inner: u32, count: u32 }
struct ListParams { outer: u32, axis: u32, inner: u32, count: u32, oneList: u32 }

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

// == listPositions == for each target a list of the positions that name it, as numbers from 1 on: `first`, which begins as 0, and what follows in `next`. The
// lists' order is chance; who walks them brings it in order
@group(0) @binding(0) var<storage, read> indices: array<i32>;
@group(0) @binding(1) var<storage, read_write> first: array<atomic<i32>>;
@group(0) @binding(2) var<storage, read_write> next: array<i32>;
@group(0) @binding(3) var<uniform> p: GatherParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var e = id.x; e < p.outer * p.count * p.inner; e += groups.x * WIDTH) {
    let i = e % p.inner;
    let o = e / (p.inner * p.count);
    next[e] = atomicExchange(&first[(o * p.axis + u32(indices[e])) * p.inner + i], i32(e / p.inner % p.count) + 1);
  }
}

// == addListed == out[o, a, i] += x[o, j, i] for all j whose index is a, in the order of j. `oneList`: one line of indices for all rows
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read> first: array<i32>;
@group(0) @binding(3) var<storage, read> next: array<i32>;
@group(0) @binding(4) var<storage, read_write> out: array<OUT>;
@group(0) @binding(5) var<uniform> p: ListParams;

// Positions up to this number are brought in order by going through their list for each; of more of them all indices are looked at.
const LONG = 24u;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var e = id.x; e < p.outer * p.axis * p.inner; e += groups.x * WIDTH) {
    let i = e % p.inner;
    let a = e / p.inner % p.axis;
    let o = e / (p.inner * p.axis);
    let isOne = p.oneList != 0u;
    let head = first[select(e, a, isOne)];
    if (head == 0) { continue; }
    let start = o * p.count * p.inner + i;
    let base = select(start, 0u, isOne);
    let step = select(p.inner, 1u, isOne);
    var length = 0u;
    for (var j = head; j != 0 && length <= LONG; j = next[base + u32(j - 1) * step]) { length++; }
    var sum = out[e];
    if (length > LONG) {
      for (var j = 0u; j < p.count; j++) { if (u32(indices[base + j * step]) == a) { sum += x[start + j * p.inner]; } }
    } else {
      var last = 0;
      for (var k = 0u; k < length; k++) {
        var least = 0x7fffffff;
        for (var j = head; j != 0; j = next[base + u32(j - 1) * step]) { if (j > last) { least = min(least, j); } }
        sum += x[start + u32(least - 1) * p.inner];
        last = least;
      }
    }
    out[e] = sum;
  }
}
