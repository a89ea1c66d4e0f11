// Optimizer steps, one pass over the memory each. Scalars arrive in float64 and are rounded once.
import { loadUpTo, storeUpTo } from "./lanes";

@inline function lanes(value: f64): v128 {
  return f32x4.splat(<f32>value);
}

/**
 * Gradient descent with momentum: d = g + weightDecay * p; v' = momentum * v + (1 - dampening) * d;
 * p' = p - learningRate * (nesterov ? d + momentum * v' : v').
 */
export function sgdStep(
  p: usize, g: usize, v: usize, newP: usize, newV: usize, n: i32,
  learningRate: f64, momentum: f64, dampening: f64, weightDecay: f64, nesterov: bool,
): void {
  const rate = lanes(learningRate), keep = lanes(momentum), take = lanes(1 - dampening), decay = lanes(weightDecay);
  for (let i = 0; i < n; i += 4) {
    const left = n - i, at = <usize>i << 2;
    const old = loadUpTo(p + at, left);
    const gradient = f32x4.add(loadUpTo(g + at, left), f32x4.mul(decay, old));
    const velocity = f32x4.add(f32x4.mul(keep, loadUpTo(v + at, left)), f32x4.mul(take, gradient));
    const direction = nesterov ? f32x4.add(gradient, f32x4.mul(keep, velocity)) : velocity;
    storeUpTo(newV + at, velocity, left);
    storeUpTo(newP + at, f32x4.sub(old, f32x4.mul(rate, direction)), left);
  }
}

/**
 * Adam (Kingma and Ba, 2014): m' = beta1 * m + (1 - beta1) * g; v' = beta2 * v + (1 - beta2) * g^2;
 * p' = p - learningRate * (m' / correction1) / (sqrt(v' / correction2) + eps). Weight decay is added to the gradient, or, decoupled (AdamW,
 * Loshchilov and Hutter, 2017), taken from the parameter: p * (1 - learningRate * weightDecay).
 */
export function adamStep(
  p: usize, g: usize, m: usize, v: usize, newP: usize, newM: usize, newV: usize, n: i32,
  learningRate: f64, beta1: f64, beta2: f64, eps: f64, weightDecay: f64, decoupled: bool, correction1: f64, correction2: f64,
): void {
  const b1 = lanes(beta1), rest1 = lanes(1 - beta1), b2 = lanes(beta2), rest2 = lanes(1 - beta2), floor = lanes(eps);
  const step = lanes(learningRate / correction1), root = lanes(1 / Math.sqrt(correction2));
  const keep = lanes(decoupled ? 1 - learningRate * weightDecay : 1), decay = lanes(decoupled ? 0 : weightDecay);
  for (let i = 0; i < n; i += 4) {
    const left = n - i, at = <usize>i << 2;
    const old = loadUpTo(p + at, left);
    const gradient = f32x4.add(loadUpTo(g + at, left), f32x4.mul(decay, old));
    const first = f32x4.add(f32x4.mul(b1, loadUpTo(m + at, left)), f32x4.mul(rest1, gradient));
    const second = f32x4.add(f32x4.mul(b2, loadUpTo(v + at, left)), f32x4.mul(rest2, f32x4.mul(gradient, gradient)));
    const scale = f32x4.add(f32x4.mul(f32x4.sqrt(second), root), floor);
    storeUpTo(newM + at, first, left);
    storeUpTo(newV + at, second, left);
    storeUpTo(newP + at, f32x4.sub(f32x4.mul(old, keep), f32x4.div(f32x4.mul(step, first), scale)), left);
  }
}
