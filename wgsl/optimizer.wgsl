// Optimizer steps: parameters and moments in, parameters and moments out.

struct SgdParams { size: u32, learningRate: f32, momentum: f32, dampening: f32, weightDecay: f32, nesterov: u32 }
struct AdamParams { size: u32, learningRate: f32, beta1: f32, beta2: f32, eps: f32, weightDecay: f32, decoupled: u32, correction1: f32, correction2: f32 }

// == sgdStep ==
@group(0) @binding(0) var<storage, read> parameter: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> velocity: array<f32>;
@group(0) @binding(3) var<storage, read_write> newParameter: array<f32>;
@group(0) @binding(4) var<storage, read_write> newVelocity: array<f32>;
@group(0) @binding(5) var<uniform> p: SgdParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < p.size; i += groups.x * WIDTH) {
    let held = parameter[i];
    let g = gradient[i] + p.weightDecay * held;
    let v = p.momentum * velocity[i] + (1.0f - p.dampening) * g;
    newVelocity[i] = v;
    newParameter[i] = held - p.learningRate * select(v, g + p.momentum * v, p.nesterov != 0u);
  }
}

// == adamStep == Kingma and Ba, arXiv:1412.6980; the decoupled decay of Loshchilov and Hutter, arXiv:1711.05101
@group(0) @binding(0) var<storage, read> parameter: array<f32>;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> first: array<f32>;
@group(0) @binding(3) var<storage, read> second: array<f32>;
@group(0) @binding(4) var<storage, read_write> newParameter: array<f32>;
@group(0) @binding(5) var<storage, read_write> newFirst: array<f32>;
@group(0) @binding(6) var<storage, read_write> newSecond: array<f32>;
@group(0) @binding(7) var<uniform> p: AdamParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < p.size; i += groups.x * WIDTH) {
    let held = parameter[i];
    let g = select(gradient[i] + p.weightDecay * held, gradient[i], p.decoupled != 0u);
    let m = p.beta1 * first[i] + (1.0f - p.beta1) * g;
    let v = p.beta2 * second[i] + (1.0f - p.beta2) * g * g;
    newFirst[i] = m;
    newSecond[i] = v;
    let kept = select(held, held * (1.0f - p.learningRate * p.weightDecay), p.decoupled != 0u);
    newParameter[i] = kept - p.learningRate * (m / p.correction1) / (sqrt(v / p.correction2) + p.eps);
  }
}
