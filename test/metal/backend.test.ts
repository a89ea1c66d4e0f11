/** The 'metal' device as a whole: element types, reads, memory, errors, and training with it. */
import * as tapegrad from 'tapegrad';
import { ctcLoss, grad, memory, nn, optim, random, scope, tensor, type Tensor, valueAndGrad } from 'tapegrad';
import { MetalBackend } from '../../src/backends/metal/backend.js';
import { elementTypeSuite, layerSuite, trainingSuite } from '../gpu/backend.suite.js';
import { settled } from '../garbage.js';
import { liveObjects, metalTests, softLibrary, softTests, withSettings } from './harness.js';
import { inEveryMode } from './modes.js';

inEveryMode('element types on metal', ({ metal }) => {
  elementTypeSuite(metal);
});

metalTests('reads and errors on metal', () => {
  let metal: MetalBackend;
  beforeAll(async () => {
    metal = await MetalBackend.open(softLibrary);
  });
  afterAll(() => {
    metal.close();
  });

  test('synchronous and asynchronous reads see what was launched before them', async () => {
    let x = tensor([1, 2, 3]).to(metal);
    for (let i = 0; i < 300; i++) x = x.add(1);
    expect(Array.from(x.dataSync())).toEqual([301, 302, 303]);
    const [a, b, c] = await Promise.all([x.mul(2).data(), x.sum().item(), x.array()]);
    expect([Array.from(a), b, c]).toEqual([[602, 604, 606], 906, [301, 302, 303]]);
    const pending = x.sub(1).data();
    expect(x.itemSync === undefined).toBe(false);
    expect(Array.from(x.add(1).dataSync())).toEqual([302, 303, 304]);
    expect(Array.from(await pending)).toEqual([300, 301, 302]);
  });

  test('a read goes on when its tensor is recycled meanwhile', async () => {
    const x = tensor(new Float32Array(500).fill(1)).to(metal);
    const pending: Promise<ArrayLike<number>>[] = [];
    scope(() => {
      pending.push(x.add(41).data());
    });
    for (let i = 0; i < 20; i++) scope(() => x.mul(i).sum());
    metal.finish();
    expect(new Set(Array.from((await pending[0])!))).toEqual(new Set([42]));
  });

  test('what was read is a copy: later work does not change it', () => {
    const x = tensor([1, 2, 3]).to(metal);
    const before = x.dataSync();
    x.dataSync()[0] = 9;
    expect(Array.from(before)).toEqual([1, 2, 3]);
    expect(Array.from(x.dataSync())).toEqual([1, 2, 3]);
  });

  test('an upload never overwrites memory that submitted work still reads', () => {
    const total = Array.from({ length: 200 }, (_, i) =>
      scope(() => tensor(new Float32Array(1000).fill(i)).to(metal).sum().div(1000)),
    );
    total.forEach((t, i) => {
      expect(t.itemSync()).toBe(i);
    });
  });

  test('empty tensors', async () => {
    const x = tensor([], { shape: [0, 3] }).to(metal);
    expect((await x.mul(2).sum(0).data()).length).toBe(3);
    expect(Array.from(x.sum(0).dataSync())).toEqual([0, 0, 0]);
  });

  test('there is no float64 on a GPU, and the message says what to do', () => {
    expect(() => tensor(new Float64Array(2)).to(metal)).toThrow("[to] device 'metal' has no float64; cast it first");
  });

  test('two devices in one op are refused', () => {
    expect(() =>
      tensor([1])
        .to(metal)
        .add(tensor([1])),
    ).toThrow("[add] tensors on 'metal' and 'cpu' in one op");
  });

  test('an op without a Metal kernel is refused by name, and nothing falls back', () => {
    const nowhere = tapegrad.defineOp<null>({
      name: 'nowhere',
      infer: ([x]) => x!,
      run: (call) => {
        const kernel: tapegrad.Kernel = {
          name: 'nowhere',
          family: 'nowhere',
          inputs: ['x'],
          outputs: ['out'],
          params: {},
        };
        call.launch({ kernel, inputs: call.inputs, outputs: call.outputs, params: {}, grid: 1 });
      },
    });
    expect(() => nowhere([tensor([1]).to(metal)], null)).toThrow("[nowhere] has no float32 kernel on device 'metal'");
  });

  test("an elementwise op of one's own runs from its code", async () => {
    const code = 'x > 0 ? expm1(x) : -abs(x)';
    const kernel: tapegrad.Kernel = {
      name: 'ownElementwise',
      family: 'elementwise',
      inputs: ['x'],
      outputs: ['out'],
      params: { size: 'u32', rank: 'u32', shape: 'u32x8', xStrides: 'i32x8', yStrides: 'i32x8', zStrides: 'i32x8' },
      elementwise: { code, arity: 1, result: 'number', operands: ['number'] },
    };
    const own = tapegrad.defineOp<null>({
      name: 'ownElementwise',
      infer: ([x]) => x!,
      run: (call, [x]) => {
        const params = { size: x!.size, rank: 1, shape: [x!.size], xStrides: [1], yStrides: [1], zStrides: [0] };
        call.launch({ kernel, inputs: call.inputs, outputs: call.outputs, params, grid: x!.size });
      },
    });
    const y = await own([tensor([1, -2, 0.5]).to(metal)], null).data();
    [Math.expm1(1), -2, Math.expm1(0.5)].forEach((value, i) => {
      expect(y[i]).toBeCloseTo(value, 6);
    });
  });
});

inEveryMode('training on metal', ({ metal }) => {
  trainingSuite(metal);
});

inEveryMode('layers on metal', ({ metal }) => {
  layerSuite(metal);
});

metalTests('memory on metal', () => {
  const big = 64 * 1024;
  let metal: MetalBackend;
  beforeAll(async () => {
    metal = await MetalBackend.open(softLibrary);
  });
  afterAll(() => {
    metal.close();
  });

  test('what a transform computes is recycled when it returns, also when it throws', () => {
    const x = random(1).normal([big]).to(metal);
    const f = (t: Tensor) => t.tanh().mul(t.exp()).sigmoid().square().mean();
    const step = valueAndGrad(f);
    const kept = [step(x), step(x)];
    const { reservedBytes, usedBytes } = memory(metal);
    for (let i = 0; i < 50; i++) {
      kept[i % 2] = scope(() => step(x));
      expect(() =>
        grad((t: Tensor) => {
          f(t);
          throw new RangeError('no');
        })(x),
      ).toThrow(RangeError);
    }
    expect(memory(metal).scopes).toBe(0);
    // Fifty gradients may wait for the collector; the eight intermediate results of each step may not.
    expect(memory(metal).usedBytes - usedBytes).toBeLessThanOrEqual(50 * big * 4 + 50 * 4096);
    expect(memory(metal).reservedBytes - reservedBytes).toBeLessThanOrEqual(50 * big * 4 + 50 * 4096);
  });

  test('what an op needs between its kernels is free again when it returns', () => {
    const x = random(1).normal([200, 8, 40]).to(metal);
    const labels = Array.from({ length: 8 }, () => Array.from({ length: 40 }, (_, i) => 1 + (i % 39)));
    const losses = Array.from({ length: 10 }, () => ctcLoss(x, labels, undefined, undefined, { from: 'logits' }));
    const { usedBytes } = memory(metal);
    losses.push(...Array.from({ length: 10 }, () => ctcLoss(x, labels, undefined, undefined, { from: 'logits' })));
    // Lengths and labels of each call wait for the collector; the states, 600 KB a call, do not.
    expect(memory(metal).usedBytes - usedBytes).toBeLessThan(10 * 8192);
    expect(new Set(losses.map((t) => t.dataSync().join()))).toHaveProperty('size', 1);
  });

  test('a recycled tensor names itself', () => {
    let leaked: Tensor | null = null;
    grad((t: Tensor) => {
      leaked = t.exp();
      return leaked.sum();
    })(tensor([1, 2]).to(metal));
    expect(() => leaked!.add(1)).toThrow(tapegrad.RecycledError);
    expect(() => leaked!.dataSync()).toThrow("the float32 tensor [2] that 'exp' made was recycled");
  });

  test('a naive training loop holds its memory over 2000 steps', async () => {
    const model = nn.sequential(nn.linear(64, 128), tapegrad.relu, nn.linear(128, 16));
    const optimizer = optim.adam({ learningRate: 0.001 });
    let params = tapegrad.mapTensors((t) => t.to(metal), model.init(random(1)));
    let state = optimizer.init(params);
    const x = random(2).normal([4, 64]).to(metal);
    const step = valueAndGrad((p: typeof params, input: Tensor) => model.apply(p, input).square().mean());
    const reserved: number[] = [];
    await settled();
    const before = memory(metal).reservedBytes;
    for (let i = 0; i < 2000; i++) {
      const [loss, gradients] = step(params, x);
      ({ params, state } = optimizer.update(params, gradients, state));
      if (i % 10 === 0) expect(await loss.item()).toBeGreaterThan(0);
      if (i % 100 === 0) await settled();
      reserved.push(memory(metal).reservedBytes);
    }
    const perStep = 4 * 4 * (64 * 128 + 128 + 128 * 16 + 16); // gradients, parameters and two moments
    expect(2000 * perStep).toBeGreaterThan(300e6);
    // What the collector has not been asked to see yet, the gradients and what they make.
    expect(Math.max(...reserved)).toBeLessThan(before + 3 * 100 * perStep);
  });
});

softTests('memory of the software device', () => {
  test('out of memory: the pool is given back first, then the error says what is held', async () => {
    await withSettings({ memory: 8 << 20 }, async () => {
      const metal = await MetalBackend.open(softLibrary);
      const x = tensor(new Float32Array(1 << 18).fill(1)).to(metal);
      for (let i = 1; i < 6; i++)
        scope(() =>
          x
            .slice([0, i * 40_000])
            .exp()
            .sum()
            .itemSync(),
        );
      expect(scope(() => x.exp().sum().itemSync())).toBeCloseTo(2 ** 18 * Math.E, -1);
      const held: Tensor[] = [];
      const fill = (): void => {
        for (let i = 0; i < 16; i++) held.push(x.add(i));
      };
      expect(fill).toThrow(tapegrad.OutOfMemoryError);
      expect(fill).toThrow(
        /\[metal\] no memory left for a buffer of 1048576 bytes: live tensors hold \d+ bytes; use scope\(fn\)/,
      );
      expect(held[0]!.itemSync === undefined).toBe(false);
      expect(held[0]!.max().itemSync()).toBe(1);
      metal.close();
    });
  });

  test('closing gives every object back', async () => {
    const before = await liveObjects();
    const metal = await MetalBackend.open(softLibrary);
    const x = random(1).normal([8, 8]).to(metal);
    const f = valueAndGrad((t: Tensor) => t.matmul(t).softmax().log().sum());
    for (let i = 0; i < 5; i++) f(x)[0].itemSync();
    await f(x)[1].data();
    metal.close();
    expect(await liveObjects()).toBe(before);
    expect(() => x.dataSync()).toThrow('[metal] a released buffer was used');
  });
});
