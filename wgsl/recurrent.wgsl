// LSTM and GRU cells and their vjps, two ways. Where a group's memory holds all hidden units of two sequences, it takes them through all frames (the passages):
// groups cannot wait for each other, but sequences need not. Else a frame is a launch, of as many groups as there are parts of units and sequences (the
// frames); `place` counts those that came before, in the order of reading, and for the vjps backwards, where the place behind the last is the start's.
// Layouts are those of wasm/recurrent.ts, but for the weights: see recurrentWeights. In `at` a frame of a sequence is counted, t * batch + n.
// include math.wgsl

struct CellParams { frames: u32, batch: u32, hidden: u32, reverse: u32, place: u32 }
struct WeightsParams { hidden: u32, gates: u32, byInput: u32 }

fn sigmoid(x: f32) -> f32 {
  let e = exponential(-abs(x));
  return select(1.0f, e, isNegative(x)) / (1.0f + e);
}

// A unit behind a frame: what its gates let through, and its states.
struct Unit { gates: vec4f, state: vec2f }

// Backwards: the cotangents of the gates' sums, and of the states before the frame but for what comes through the product.
struct Cotangents { sums: vec4f, state: vec2f }

// == recurrentWeights == [hidden, hidden] vectors of a weight for each gate: by the unit that reads, or by the one whose gates it goes to. The GRU's fourth are 0.
@group(0) @binding(0) var<storage, read> weight: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> p: WeightsParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = p.hidden * p.hidden;
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    let place = select(i, i % p.hidden * p.hidden + i / p.hidden, p.byInput != 0u);
    var four = vec4f(weight[place], weight[size + place], weight[2u * size + place], 0.0f);
    if (p.gates == 4u) { four.w = weight[3u * size + place]; }
    out[i] = four;
  }
}

// == lstmPassage ==
@group(0) @binding(0) var<storage, read> projected: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<f32>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

// include recurrent/lstm.wgsl
// include recurrent/passage.wgsl

// == gruPassage ==
@group(0) @binding(0) var<storage, read> projected: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<f32>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

// include recurrent/gru.wgsl
// include recurrent/passage.wgsl

// == lstmPassageVjp ==
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> states: array<f32>;
@group(0) @binding(2) var<storage, read> gates: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> projected: array<f32>;
@group(0) @binding(6) var<storage, read_write> carried: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

// include recurrent/lstm-vjp.wgsl
// include recurrent/passage-vjp.wgsl

// == gruPassageVjp ==
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> states: array<f32>;
@group(0) @binding(2) var<storage, read> gates: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> projected: array<f32>;
@group(0) @binding(6) var<storage, read_write> recurrent: array<f32>;
@group(0) @binding(7) var<storage, read_write> carried: array<f32>;
@group(0) @binding(8) var<uniform> p: CellParams;

// include recurrent/gru-vjp.wgsl
// include recurrent/passage-vjp.wgsl

// == lstmCell ==
@group(0) @binding(0) var<storage, read> projected: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<f32>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

// include recurrent/lstm.wgsl
// include recurrent/frame.wgsl

// == gruCell ==
@group(0) @binding(0) var<storage, read> projected: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<f32>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> states: array<f32>;
@group(0) @binding(6) var<storage, read_write> gates: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

// include recurrent/gru.wgsl
// include recurrent/frame.wgsl

// == lstmCellVjp ==
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> states: array<f32>;
@group(0) @binding(2) var<storage, read> gates: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> projected: array<f32>;
@group(0) @binding(6) var<storage, read_write> carried: array<f32>;
@group(0) @binding(7) var<uniform> p: CellParams;

// include recurrent/lstm-vjp.wgsl
// include recurrent/frame-vjp.wgsl

// == gruCellVjp ==
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> states: array<f32>;
@group(0) @binding(2) var<storage, read> gates: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> counts: array<i32>;
@group(0) @binding(5) var<storage, read_write> projected: array<f32>;
@group(0) @binding(6) var<storage, read_write> recurrent: array<f32>;
@group(0) @binding(7) var<storage, read_write> carried: array<f32>;
@group(0) @binding(8) var<uniform> p: CellParams;

// include recurrent/gru-vjp.wgsl
// include recurrent/frame-vjp.wgsl
