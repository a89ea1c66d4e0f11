import {
  type Backend,
  ctcLoss,
  defaultDevice,
  device,
  nn,
  optim,
  random,
  relu,
  setDefaultDevice,
  tensor,
  type Tensor,
  tensorsOf,
  valueAndGrad,
  zeros,
} from 'tapegrad';
import { inEveryMode } from './modes.js';

inEveryMode('Metal as the default device', ({ metal }) => {
  afterEach(async () => {
    setDefaultDevice(await device('cpu'));
  });

  test('what is made from then on lives there; the CPU is still there when asked for', async () => {
    const cpu = await device('cpu');
    setDefaultDevice(metal());
    expect(defaultDevice()).toBe(metal());
    expect(tensor([1.5, 2]).add([1, 1]).arraySync()).toEqual([2.5, 3]);
    const made = [tensor([1]), zeros([2]), random(0).normal([2]), tensor([1, 2], { dtype: 'int32' })];
    expect(made.map((t) => t.device)).toEqual(made.map(() => metal()));
    expect(tensor([1], { device: cpu }).device).toBe(cpu);
    expect(() => tensor(Float64Array.of(1))).toThrow("[tensor] device 'metal' has no float64");
  });

  test('a net is trained with CTC without a word about devices', async () => {
    const losses = async (on: Backend): Promise<number[]> => {
      setDefaultDevice(on);
      const rng = random(1);
      const model = nn.sequential(nn.linear(6, 8), relu, nn.linear(8, 5));
      const optimizer = optim.adamw({ learningRate: 0.05 });
      let params = model.init(rng);
      const x: Tensor = rng.normal([12, 3, 6]);
      const targets = rng.integers([3, 2], 1, 5);
      expect([...tensorsOf(params), x, targets].every((t) => t.device === on)).toBe(true);
      let state = optimizer.init(params);
      const seen: number[] = [];
      for (let step = 0; step < 5; step++) {
        const [value, gradients] = valueAndGrad((p: typeof params) =>
          ctcLoss(model.apply(p, x), targets, [12, 10, 12], [2, 1, 2], { from: 'logits', reduction: 'mean' }),
        )(params);
        ({ params, state } = optimizer.update(params, gradients, state));
        seen.push(await value.item());
      }
      return seen;
    };
    const [here, there] = [await losses(await device('cpu')), await losses(metal())];
    here.forEach((value, i) => {
      expect(there[i]! / value).toBeCloseTo(1, 4);
    });
  });
});
