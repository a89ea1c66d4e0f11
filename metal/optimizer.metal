// Optimizer steps: parameters and moments in, parameters and moments out.
#include <metal_stdlib>
using namespace metal;

struct SgdParams { uint size; float learningRate, momentum, dampening, weightDecay; uint nesterov; };
struct AdamParams { uint size; float learningRate, beta1, beta2, eps, weightDecay; uint decoupled; float correction1, correction2; };

kernel void sgdStep(device const float *parameter [[buffer(0)]],
                    device const float *gradient [[buffer(1)]],
                    device const float *velocity [[buffer(2)]],
                    device float *newParameter [[buffer(3)]],
                    device float *newVelocity [[buffer(4)]],
                    constant SgdParams &p [[buffer(5)]],
                    uint index [[thread_position_in_grid]],
                    uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.size; i += threads) {
    const float held = parameter[i], g = gradient[i] + p.weightDecay * held;
    const float v = p.momentum * velocity[i] + (1.0f - p.dampening) * g;
    newVelocity[i] = v;
    newParameter[i] = held - p.learningRate * (p.nesterov != 0 ? g + p.momentum * v : v);
  }
}

// Kingma and Ba, arXiv:1412.6980; the decoupled decay of Loshchilov and Hutter, arXiv:1711.05101.
kernel void adamStep(device const float *parameter [[buffer(0)]],
                     device const float *gradient [[buffer(1)]],
                     device const float *first [[buffer(2)]],
                     device const float *second [[buffer(3)]],
                     device float *newParameter [[buffer(4)]],
                     device float *newFirst [[buffer(5)]],
                     device float *newSecond [[buffer(6)]],
                     constant AdamParams &p [[buffer(7)]],
                     uint index [[thread_position_in_grid]],
                     uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.size; i += threads) {
    const float held = parameter[i];
    const float g = p.decoupled != 0 ? gradient[i] : gradient[i] + p.weightDecay * held;
    const float m = p.beta1 * first[i] + (1.0f - p.beta1) * g;
    const float v = p.beta2 * second[i] + (1.0f - p.beta2) * g * g;
    newFirst[i] = m;
    newSecond[i] = v;
    const float kept = p.decoupled != 0 ? held * (1.0f - p.learningRate * p.weightDecay) : held;
    newParameter[i] = kept - p.learningRate * (m / p.correction1) / (sqrt(v / p.correction2) + p.eps);
  }
}
