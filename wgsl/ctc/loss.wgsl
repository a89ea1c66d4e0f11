// Connectionist temporal classification (Graves et al. 2006) in three kernels: emissions, the recursion in both directions, the gradient.
// include math.wgsl

struct CtcScaleParams { frames: u32, batch: u32, classes: u32 }

// == ctcEmit ==
// emissions [count, frames, slots, 2]: exp(score), normalised and divided by 2^exponents.
// exponents [count, frames]: the exponent of the largest emission among the blank and the target's labels; NaN where the row has one.
// norms [frames, count, 2]: maximum and 1 / sum of exp(score - maximum), for the softmax in the gradient.
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> lattice: array<i32>;
@group(0) @binding(2) var<storage, read_write> emissions: array<vec2i>;
@group(0) @binding(3) var<storage, read_write> exponents: array<f32>;
@group(0) @binding(4) var<storage, read_write> norms: array<vec2f>;
@group(0) @binding(5) var<uniform> p: CtcParams;

// include ctc/common.wgsl
// include ctc/emit.wgsl

// == ctcRecursion ==
// states [2, count, frames, width, 2]: of each label, alpha after the emission and beta before it.
// losses [batch]; totals [count, 4]: see lossOf.
// memory [count, directions, 3, width + 1, 2] is scratch space, used by targets with at least as many labels as the group has threads.
@group(0) @binding(0) var<storage, read> emissions: array<vec2i>;
@group(0) @binding(1) var<storage, read> exponents: array<f32>;
@group(0) @binding(2) var<storage, read> lattice: array<i32>;
@group(0) @binding(3) var<storage, read_write> states: array<vec2i>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> totals: array<vec4i>;
@group(0) @binding(6) var<storage, read_write> memory: array<vec2i>;
@group(0) @binding(7) var<uniform> p: CtcParams;

// include ctc/common.wgsl
// include ctc/walk.wgsl
// include ctc/recursion.wgsl

// == ctcGrad ==
// gradient [frames, batch, classes] of the losses: softmax - posterior from logits, -posterior from log-probabilities; 0 beyond a
// sequence's length and for impossible targets. Each sequence's times its cotangent, where `scaled`.
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> lattice: array<i32>;
@group(0) @binding(2) var<storage, read> states: array<vec2i>;
@group(0) @binding(3) var<storage, read> totals: array<vec4i>;
@group(0) @binding(4) var<storage, read> norms: array<vec2f>;
@group(0) @binding(5) var<storage, read> cotangents: array<f32>;
@group(0) @binding(6) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(7) var<uniform> p: CtcParams;

// include ctc/common.wgsl
// include ctc/grad.wgsl

// == ctcScale == x [frames, batch, classes] with every sequence scaled by a number of its own. Zeros stay zeros, whatever the number.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> p: CtcScaleParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let lanes = 32u;
  let lane = id.x % lanes;
  for (var row = id.x / lanes; row < p.frames * p.batch; row += groups.x * WIDTH / lanes) {
    let factor = scale[row % p.batch];
    for (var c = lane; c < p.classes; c += lanes) {
      let at = row * p.classes + c;
      let value = x[at];
      out[at] = select(value * factor, 0.0f, magnitudeOf(value) == 0u);
    }
  }
}
