/** The 'webgpu' device as a whole: element types, training, layers, matrix products. */
import * as tapegrad from 'tapegrad';
import { grad, random, type Tensor } from 'tapegrad';
import { elementTypeSuite, layerSuite, trainingSuite } from '../gpu/backend.suite.js';
import { suiteOnDevice } from './harness.js';

suiteOnDevice('element types on webgpu', elementTypeSuite);
suiteOnDevice('training on webgpu', trainingSuite);
suiteOnDevice('layers on webgpu', layerSuite);

suiteOnDevice('matrix products on webgpu', (device) => {
  test.each([
    [130, 70, 37],
    [65, 300, 33],
    [90, 130, 200],
  ])('%d x %d, of %d terms, with gradients that transpose either operand', async (m, n, k) => {
    const [a, b, w] = [random(1).normal([m, k]), random(2).normal([k, n]), random(3).normal([m, n])];
    const f = (weights: Tensor) => (x: Tensor, y: Tensor) => x.matmul(y).mul(weights).sum();
    const [want, wantGradients] = [a.matmul(b), grad(f(w), { argnums: [0, 1] })(a, b)];
    const [x, y] = [a.to(device()), b.to(device())];
    const [got, gradients] = [x.matmul(y), grad(f(w.to(device())), { argnums: [0, 1] })(x, y)];
    for (const [ours, theirs, terms] of [
      [got, want, k],
      [gradients[0], wantGradients[0], n],
      [gradients[1], wantGradients[1], m],
    ] as const) {
      const data = await ours.data();
      let worst = 0;
      theirs.dataSync().forEach((value, i) => {
        worst = Math.max(worst, Math.abs(data[i]! - value));
      });
      expect(worst).toBeLessThanOrEqual(1e-6 * 10 * Math.sqrt(terms));
    }
  });

  test('batches, whole numbers, and sums over steps of one weight', async () => {
    const [a, b] = [random(1).integers([3, 70, 9], -50, 50), random(2).integers([3, 9, 66], -50, 50)];
    expect(Array.from(await a.to(device()).matmul(b.to(device())).data())).toEqual(Array.from(a.matmul(b).dataSync()));
    // A recurrence adds each step's product to one gradient.
    const [weight, x] = [random(3).normal([96, 96]).mul(0.05), random(4).normal([96, 40])];
    const f = (input: Tensor) => (u: Tensor) => {
      let state = input;
      for (let i = 0; i < 3; i++) state = tapegrad.tanh(u.matmul(state));
      return state.square().sum();
    };
    const want = grad(f(x))(weight).dataSync();
    const got = await grad(f(x.to(device())))(weight.to(device())).data();
    let worst = 0;
    want.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(got[i]! - value));
    });
    expect(worst).toBeLessThanOrEqual(1e-4);
  });
});
