// A page without cross-origin isolation: memory is not shared, and views of it detach when it grows.
import type * as Library from 'tapegrad';

let library: typeof Library;

beforeAll(async () => {
  (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated = false;
  library = await import('tapegrad');
});

test('the heap may grow at any moment of a transform', () => {
  const { ctcLoss, memory, random, tensor, valueAndGrad } = library;
  const labels = Array.from({ length: 8 }, () => [1, 2, 3]);
  let reserved = memory().reservedBytes;
  for (const frames of [50, 120, 300]) {
    const x = random(0).uniform([frames, 8, 700]);
    const weights = random(1).uniform([8]); // no usual reduction: the gradient is computed in the backward pass, where the heap grows again
    const f = (t: Library.Tensor): Library.Tensor =>
      ctcLoss(t, labels, undefined, undefined, { from: 'logits' })
        .mul(t.dtype === 'float64' ? weights.cast('float64') : weights)
        .sum();
    const [value, gradient] = valueAndGrad(f)(x);
    const [want, wantGradient] = valueAndGrad(f)(tensor(Float64Array.from(x.dataSync()), { shape: x.shape }));
    expect(Math.abs(value.itemSync() / want.itemSync() - 1)).toBeLessThan(1e-6);
    expect(gradient.cast('float64').sub(wantGradient).abs().max().itemSync()).toBeLessThan(1e-6);
    expect(memory().reservedBytes).toBeGreaterThan(reserved);
    reserved = memory().reservedBytes;
  }
});
