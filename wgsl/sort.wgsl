// The first `count` places in the order of the elements along the middle axis of [outer, axis, inner]. A thread counts for one element how many come before
// it, and that is its place: as many comparisons as the square of the length, all at once.
// include math.wgsl

struct ArgsortParams { outer: u32, axis: u32, inner: u32, count: u32, descending: u32 }

// A whole number is no NaN as a float either.
fn isLast(v: IN) -> bool { return isNaN(f32(v)); }

// Whether a comes before b in ascending order: NaN after all numbers.
fn precedes(a: IN, b: IN) -> bool { return !isLast(a) && (isLast(b) || a < b); }

// == argsort ==
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: ArgsortParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  let isDescending = p.descending != 0u;
  for (var e = id.x; e < p.outer * p.axis * p.inner; e += groups.x * WIDTH) {
    let own = e / p.inner % p.axis;
    let start = e - own * p.inner;
    let value = x[e];
    var place = 0u;
    for (var j = 0u; j < p.axis; j++) {
      let other = x[start + j * p.inner];
      let isBefore = select(precedes(other, value), precedes(value, other), isDescending);
      let isAfter = select(precedes(value, other), precedes(other, value), isDescending);
      if (isBefore || (!isAfter && j < own)) { place++; }
    }
    if (place < p.count) { out[(e / p.inner / p.axis * p.count + place) * p.inner + e % p.inner] = OUT(own); }
  }
}
