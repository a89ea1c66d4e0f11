import * as tg from 'tapegrad';
import { MetalBackend } from '../../src/backends/metal/backend.js';
import { metalTests, softLibrary, withSettings } from './harness.js';

metalTests('smoke', () => {
  test.each([0, 1])('checked %d', async (checked) => {
    await withSettings({ checked }, async () => {
      const metal = await MetalBackend.open(softLibrary, { strict: true });
      const r = tg.random(1);
      const x = r.normal([5, 7, 6]);
      const f = (d: tg.Backend) => (t: tg.Tensor) => {
        const w = tg.tensor(Array.from({ length: 6 * 3 }, (_, i) => Math.sin(i)), { shape: [6, 3] }).to(d);
        const h = tg.matmul(t, w).tanh().add(t.sum(2, true)).mul(0.5);
        const n = tg.layerNorm(h);
        return tg.logSoftmax(n, -1).add(tg.softmax(t, 1).slice([], [], [0, 3])).mean().add(t.max(0).sum()).add(tg.logSumExp(t, 1).mean()).add(tg.gelu(t).sum()).add(tg.cumsum(t, 1).square().mean());
      };
      const cpu = tg.device('cpu');
      const a = tg.valueAndGrad(f(await cpu))(x);
      const b = tg.valueAndGrad((t: tg.Tensor) => f(metal)(t))(x.to(metal));
      expect(b[0].itemSync()).toBeCloseTo(a[0].itemSync(), 4);
      const [ga, gb] = [a[1].dataSync(), await b[1].data()];
      ga.forEach((v, i) => expect(gb[i]).toBeCloseTo(v, 4));
      metal.close();
    });
  });
});
