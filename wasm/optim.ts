// Optimizer updates, fused: one pass over the parameters. Inputs and outputs may be the same memory.
import { highPair, loadUpTo, lowPair, storeUpTo, sumPair } from "./lanes";

/**
 * Adam (Kingma and Ba, 2014) with decoupled weight decay (Loshchilov and Hutter, 2017):
 *   m' = beta1 m + (1 - beta1) g,  v' = beta2 v + (1 - beta2) g^2,
 *   p' = p - lr * decay * p - lr * (m' / correction1) / (sqrt(v' / correction2) + epsilon),  correction_i = 1 - beta_i^step.
 * `coupled` adds coupledDecay * p to the gradient first, as plain Adam does.
 */
export function adam(
  p: usize, g: usize, m: usize, v: usize, pOut: usize, mOut: usize, vOut: usize, n: i32,
  lr: f32, beta1: f32, beta2: f32, epsilon: f32, decay: f32, coupledDecay: f32, correction1: f32, correction2: f32,
): void {
  const b1 = f32x4.splat(beta1), rest1 = f32x4.splat(1 - beta1), b2 = f32x4.splat(beta2), rest2 = f32x4.splat(1 - beta2);
  const step = f32x4.splat(lr / correction1), root = f32x4.splat(1 / Mathf.sqrt(correction2)), keep = f32x4.splat(1 - lr * decay);
  for (let i = 0; i < n; i += 4) {
    const left = n - i;
    const at = <usize>i << 2;
    const old = loadUpTo(p + at, left);
    const grad = f32x4.add(loadUpTo(g + at, left), f32x4.mul(f32x4.splat(coupledDecay), old));
    const first = f32x4.add(f32x4.mul(b1, loadUpTo(m + at, left)), f32x4.mul(rest1, grad));
    const second = f32x4.add(f32x4.mul(b2, loadUpTo(v + at, left)), f32x4.mul(rest2, f32x4.mul(grad, grad)));
    const scale = f32x4.add(f32x4.mul(f32x4.sqrt(second), root), f32x4.splat(epsilon));
    storeUpTo(mOut + at, first, left);
    storeUpTo(vOut + at, second, left);
    storeUpTo(pOut + at, f32x4.sub(f32x4.mul(old, keep), f32x4.div(f32x4.mul(step, first), scale)), left);
  }
}

/**
 * Gradient descent with momentum: d = g + decay * p; v' = momentum * v + (1 - dampening) d, or d itself on the first step; p' = p - lr * v', with
 * Nesterov p' = p - lr * (d + momentum * v'). A velocity address of 0 means no momentum.
 */
export function sgd(
  p: usize, g: usize, v: usize, pOut: usize, vOut: usize, n: i32, lr: f32, momentum: f32, dampening: f32, decay: f32, nesterov: bool, first: bool,
): void {
  const rate = f32x4.splat(lr), keep = f32x4.splat(momentum), take = f32x4.splat(first ? 1 : 1 - dampening);
  for (let i = 0; i < n; i += 4) {
    const left = n - i;
    const at = <usize>i << 2;
    const old = loadUpTo(p + at, left);
    let direction = f32x4.add(loadUpTo(g + at, left), f32x4.mul(f32x4.splat(decay), old));
    if (v) {
      let velocity = f32x4.mul(take, direction);
      if (!first) velocity = f32x4.add(f32x4.mul(keep, loadUpTo(v + at, left)), velocity);
      storeUpTo(vOut + at, velocity, left);
      direction = nesterov ? f32x4.add(direction, f32x4.mul(keep, velocity)) : velocity;
    }
    storeUpTo(pOut + at, f32x4.sub(old, f32x4.mul(rate, direction)), left);
  }
}

/** The sum of squares of n floats. */
export function sumSquares(x: usize, n: i32): f64 {
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4, x += 16) {
    const lanes = v128.load(x);
    const low = lowPair(lanes), high = highPair(lanes);
    s0 = f64x2.add(s0, f64x2.mul(low, low));
    s1 = f64x2.add(s1, f64x2.mul(high, high));
  }
  let sum = sumPair(f64x2.add(s0, s1));
  for (; i < n; i++, x += 4) {
    const value = <f64>load<f32>(x);
    sum += value * value;
  }
  return sum;
}
