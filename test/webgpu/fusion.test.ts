/** Elementwise launches as one on the 'webgpu' device: the same bits. What may become one is shown in test/gpu/fusion.test.ts. */
import * as tapegrad from 'tapegrad';
import { grad, nn, optim, random, scope, tensor, type Tensor, tensorsOf, valueAndGrad, where } from 'tapegrad';
import { suiteOnDevice } from './harness.js';

type Op = (...operands: Tensor[]) => Tensor;

suiteOnDevice('fused on webgpu', (device) => {
  const bitsOf = async (t: Tensor): Promise<number[]> => {
    const data = await t.data();
    return Array.from(data instanceof Float32Array ? new Int32Array(data.buffer) : data);
  };
  const rng = random(1);
  // Special values, and numbers whose products and sums have to be rounded.
  const data = Float32Array.from({ length: 300 }, () => rng.normal([]).itemSync() * 3);
  data.set([0, -0, NaN, Infinity, -Infinity, 1e-30, 3e38, -3e38, 1e-45, 88.7, -104]);
  const [X, Y, B] = [tensor(data, { shape: [20, 15] }), rng.normal([20, 15]), rng.normal([15])];

  const CHAINS: Readonly<Record<string, (x: Tensor, y: Tensor, b: Tensor) => readonly Tensor[]>> = {
    'products and sums, which no step may make one operation of': (x, y, b) => {
      const p = x.mul(y);
      const s = p.add(b);
      return [p, s, s.mul(x).sub(p)];
    },
    'functions of functions': (x, y) => [x.tanh().exp().mul(y).sigmoid()],
    'branches and truth values': (x, y) => {
      const over = x.greater(y);
      return [over, where(over, x, y.mul(0.1)), tapegrad.logicalNot(over)];
    },
    'a scalar that is made on the way, and rows': (x, y, b) => [x.add(b.slice([2, 3]).reshape([])), y.mul(b)],
    'transposed and cut': (x, y) => [x.transpose(0, 1).mul(2).exp(), y.slice([3, 9]).neg(), y.slice([9, 15]).tanh()],
    'operands that are one, or computed alike: what is infinite less itself is no number': (x, y) => {
      const [double, one] = [x.mul(2), x.slice([0, 1], [3, 4]).reshape([])];
      const apart = [
        x.sub(x),
        double.sub(double),
        x.abs().sub(x.abs()),
        x.div(x),
        one.sub(one),
        where(x.greater(x), x, x),
      ];
      return [...apart, y.sub(y).add(one.sub(one)), x.maximum(x).mod(x)];
    },
    'whole numbers': (x) => {
      const whole = x.greater(0).cast('int32');
      const sum = whole.add(7);
      return [sum.mul(sum).sub(3), whole.greater(0)];
    },
  };

  test.each(Object.entries(CHAINS))('%s', async (_name, chain) => {
    const there = [X, Y, B].map((t) => t.to(device())) as [Tensor, Tensor, Tensor];
    const runs: number[][][] = [];
    for (let i = 0; i < 4; i++) runs.push(await Promise.all(scope(() => chain(...there)).map(bitsOf)));
    for (const run of runs.slice(1)) expect(run).toEqual(runs[0]);
  });

  test.each(['gelu', 'silu', 'softplus', 'erf', 'log1p', 'rsqrt', 'sin', 'square', 'relu', 'round'] as const)(
    'the derivative of %s, by itself and among others',
    async (name) => {
      const op = (tapegrad as unknown as Readonly<Record<string, Op>>)[name];
      if (!op) throw new Error(`there is no ${name}`);
      const there = Y.abs().add(0.1).to(device());
      const f = (u: Tensor) => op(u.mul(1.3)).add(u).square().sum();
      const runs: number[][] = [];
      for (let i = 0; i < 4; i++) runs.push(await bitsOf(scope(() => grad(f)(there))));
      for (const run of runs.slice(1)) expect(run).toEqual(runs[0]);
    },
  );

  test('training goes on to the same bits as without', async () => {
    const model = nn.sequential(nn.linear(6, 9), tapegrad.gelu, nn.layerNorm(9), nn.linear(9, 1));
    const x = random(4).normal([32, 6]).to(device());
    const optimizer = optim.adamw({ learningRate: 0.01 });
    const loss = (p: ReturnType<typeof model.init>) =>
      model
        .apply(p, x)
        .sub(x.sum(1, { keepDims: true }))
        .square()
        .mean();
    /** @param isApart whether every launch is submitted by itself, so that there is nothing to fuse */
    const train = async (isApart: boolean): Promise<number[][]> => {
      const gpu = device();
      const dispatch = gpu.dispatch.bind(gpu);
      const spy = jest.spyOn(gpu, 'dispatch').mockImplementation((...args) => {
        dispatch(...args);
        if (isApart) gpu.flush();
      });
      let params = model.init(random(5), { device: gpu });
      let state = optimizer.init(params);
      for (let i = 0; i < 6; i++) {
        const old = tensorsOf({ params, state });
        ({ params, state } = scope(() => {
          const [, gradients] = valueAndGrad(loss)(params);
          return optimizer.update(params, optim.clipByGlobalNorm(gradients, 1).gradients, state);
        }));
        for (const t of old) t.dispose();
      }
      spy.mockRestore();
      return Promise.all(
        tensorsOf({ params, state })
          .filter(({ device: on }) => on === gpu)
          .map(bitsOf),
      );
    };
    expect(await train(false)).toEqual(await train(true));
  });
});
