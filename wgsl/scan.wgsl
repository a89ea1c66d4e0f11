// Running extremes and recurrences along the middle axis of [outer, axis, inner]; a thread takes a line. Running sums are in reduce.wgsl.
// include math.wgsl

struct CummaxParams { outer: u32, axis: u32, inner: u32 }
struct RecurrenceParams { outer: u32, axis: u32, inner: u32, reverse: u32 }

fn beginningOf(line: u32, axis: u32, inner: u32) -> u32 { return line / inner * axis * inner + line % inner; }

// == cummax == the largest so far; NaN from the first one on
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> p: CummaxParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  for (var line = id.x; line < p.outer * p.inner; line += groups.x * WIDTH) {
    var at = beginningOf(line, p.axis, p.inner);
    var most = -infinity();
    for (var j = 0u; j < p.axis; j++) {
      most = larger(most, x[at]);
      out[at] = most;
      at += p.inner;
    }
  }
}

// == recurrence == out[j] = x[j] + factor[j] out[j - 1], where the first has none before it; backwards with `reverse`
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read> factor: array<IN>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: RecurrenceParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var line = id.x; line < p.outer * p.inner; line += groups.x * WIDTH) {
    let start = beginningOf(line, p.axis, p.inner);
    var last = IN(0);
    for (var j = 0u; j < p.axis; j++) {
      let at = start + select(j, p.axis - 1u - j, p.reverse != 0u) * p.inner;
      last = select(x[at] + factor[at] * last, x[at], j == 0u);
      out[at] = last;
    }
  }
}
