/** The CPU and the 'webgpu' device in one computation: derivatives through both, and contents on their way from one to the other. */
import * as tapegrad from 'tapegrad';
import { ctcLoss, device as openNamed, nn, random, scope, tensor, type Tensor, valueAndGrad } from 'tapegrad';
import { suiteOnDevice } from './harness.js';

interface Arrival {
  readonly data: Promise<Float32Array>;
  readonly arrive: (data: Float32Array) => void;
}

suiteOnDevice('two devices', (device) => {
  const model = nn.sequential(nn.linear(4, 6), tapegrad.tanh, nn.linear(6, 3));
  const params = model.init(random(1));
  const x = random(2).normal([9, 2, 4]);
  const loss = (logits: Tensor): Tensor =>
    ctcLoss(logits, [[1], [2, 1]], undefined, undefined, { from: 'logits', reduction: 'sum' });
  const [, want] = valueAndGrad((p: typeof params) => loss(model.apply(p, x)))(params);

  async function check(gradients: typeof params): Promise<void> {
    const all = tapegrad.tensorsOf(gradients);
    for (const [i, t] of tapegrad.tensorsOf(want).entries()) {
      const data = await all[i]!.data();
      t.dataSync().forEach((value, j) => {
        expect(Math.abs(data[j]! - value)).toBeLessThanOrEqual(1e-5);
      });
    }
  }

  test('parameters on the CPU, the model on the GPU', async () => {
    const [value, gradients] = valueAndGrad((p: typeof params) =>
      loss(
        model.apply(
          tapegrad.mapTensors((t) => t.to(device()), p),
          x.to(device()),
        ),
      ),
    )(params);
    expect([value.device.name, tapegrad.tensorsOf(gradients)[0]!.device.name]).toEqual(['webgpu', 'cpu']);
    await check(gradients);
  });

  test('parameters on the GPU, the loss on the CPU', async () => {
    const cpu = await openNamed('cpu');
    const there = tapegrad.mapTensors((t) => t.to(device()), params);
    const [value, gradients] = valueAndGrad((p: typeof params) => loss(model.apply(p, x.to(device())).to(cpu)))(there);
    expect([value.device.name, tapegrad.tensorsOf(gradients)[0]!.device.name]).toEqual(['cpu', 'webgpu']);
    await check(gradients);
  });

  test('back and forth any number of times without an await, computing on the way', async () => {
    const cpu = await openNamed('cpu');
    let x = tensor([1, 2, 3]).to(device());
    const early = x.mul(10).data();
    for (let i = 0; i < 4; i++) x = x.add(1).to(cpu).to(device()).mul(2);
    const [late, other] = [x.data(), x.sub(x).add(5)];
    expect(Array.from(await early)).toEqual([10, 20, 30]);
    expect(Array.from(await late)).toEqual([46, 62, 78]);
    expect(Array.from(await other.data())).toEqual([5, 5, 5]);
    await device().sync();
  });

  test('what waits for the other device keeps the memory that it reads and writes', async () => {
    const gpu = device();
    const [first, second] = [0, 1].map(() => {
      let arrive: (data: Float32Array) => void = () => undefined;
      return { data: new Promise<Float32Array>((resolve) => (arrive = resolve)), arrive };
    }) as [Arrival, Arrival];
    const received = (data: Promise<Float32Array>): Tensor =>
      new tapegrad.Tensor(gpu.receive('float32', 512, data), [512], null, 'to');
    const late = received(first.data);
    const made = Array.from({ length: 3 }, (_, i) =>
      scope(() => {
        const ours = tensor(new Float32Array(512).fill(i)).to(gpu).add(0.25);
        return ours.add(late);
      }),
    );
    const next = received(second.data); // into memory that what waits may still read
    const uploaded = Array.from({ length: 5 }, () => tensor(new Float32Array(512).fill(-1)).to(gpu));
    made.push(next.add(late));
    second.arrive(new Float32Array(512).fill(7));
    await Promise.resolve();
    const all = Promise.all([...made, ...uploaded].map((t) => t.data()));
    first.arrive(new Float32Array(512).fill(100));
    const values = (await all).map((data) => [...new Set(Array.from(data))]);
    expect(values).toEqual([[100.25], [101.25], [102.25], [107], ...uploaded.map(() => [-1])]);
  });

  test('contents that never come are an error of what is made of them, and of nothing else', async () => {
    const gpu = device();
    const failed = new tapegrad.Tensor(
      gpu.receive('float32', 2, Promise.reject(new Error('they are lost'))),
      [2],
      null,
      'to',
    );
    const [made, other] = [failed.add(1), tensor([3]).to(gpu)];
    const after = tensor([4])
      .to(await openNamed('cpu'))
      .to(gpu);
    await expect(made.data()).rejects.toThrow("[to] on device 'webgpu': they are lost");
    expect(Array.from(await other.add(1).data())).toEqual([4]);
    expect(Array.from(await after.data())).toEqual([4]);
  });

  test('tensors of both in one op are refused', () => {
    expect(() => x.add(x.to(device()))).toThrow("[add] tensors on 'cpu' and 'webgpu' in one op");
  });
});
