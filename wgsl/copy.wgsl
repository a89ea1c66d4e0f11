// Moving elements and changing their type. IN and OUT are the element types as they are stored; valueOf and valueHeld make floats of them, and
// stored makes an element of a float.
// include math.wgsl
// include stored.wgsl

struct CopyParams {
  rank: u32,
  shape: array<vec4u, 2>,
  sourceOffset: i32,
  sourceStrides: array<vec4i, 2>,
  outOffset: i32,
  outStrides: array<vec4i, 2>,
}
struct FillParams { size: u32, value: f32 }
struct CastParams { size: u32 }

// Where an element is read and written.
struct Move { read: i32, write: i32 }

// == copy ==
@group(0) @binding(0) var<storage, read> source: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: CopyParams;

// include moves.wgsl

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = sizeOfMove();
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    let move_ = moveOf(i);
    out[move_.write] = source[move_.read];
  }
}

// == accumulate == out += source, between two views
@group(0) @binding(0) var<storage, read> source: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: CopyParams;

// include moves.wgsl

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  let size = sizeOfMove();
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    let move_ = moveOf(i);
    out[move_.write] = stored(valueHeld(out[move_.write]) + valueOf(source[move_.read]));
  }
}

// == fill ==
@group(0) @binding(0) var<storage, read_write> out: array<OUT>;
@group(0) @binding(1) var<uniform> p: FillParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  for (var i = id.x; i < p.size; i += groups.x * WIDTH) { out[i] = stored(p.value); }
}

// == cast ==
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: CastParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  for (var i = id.x; i < p.size; i += groups.x * WIDTH) { out[i] = stored(valueOf(x[i])); }
}
