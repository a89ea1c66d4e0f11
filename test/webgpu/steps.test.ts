/** Steps that come again: what they find prepared, and that they compute what they would have computed without. */
import { ctcLoss, defineOp, type Kernel, random, scope, stack, tensor, type Tensor, valueAndGrad } from 'tapegrad';
import { suiteOnDevice } from './harness.js';

suiteOnDevice('steps that come again on webgpu', (device) => {
  const labels = [
    [1, 2, 3],
    [3, 3, 1],
  ];

  test('a step with the same shapes and targets uploads nothing and makes no bind group', async () => {
    const targets = tensor(labels, { dtype: 'int32' });
    const logits = random(1).normal([9, 2, 5]).to(device());
    const step = valueAndGrad((x: Tensor) =>
      ctcLoss(x, targets, undefined, undefined, { from: 'logits', reduction: 'mean' }),
    );
    const once = async (): Promise<number> => {
      const value = scope(() => step(logits)[0]);
      const read = await value.item();
      value.dispose();
      return read;
    };
    const first = await once();
    for (let i = 0; i < 5; i++) expect(await once()).toBe(first);
    const { device: handle } = device();
    const calls = [
      jest.spyOn(handle.queue, 'writeBuffer'),
      jest.spyOn(handle, 'createBindGroup'),
      jest.spyOn(handle, 'createBuffer'),
    ];
    for (let i = 0; i < 3; i++) expect(await once()).toBe(first);
    for (const call of calls) {
      expect(call).not.toHaveBeenCalled();
      call.mockRestore();
    }
  });

  test('lengths that change are seen, and so are other targets', async () => {
    const logits = random(1).normal([9, 2, 5]);
    const onDevice = logits.to(device());
    const lengths = Int32Array.of(9, 9);
    const all = [labels, labels.map((row) => [...row].reverse())].map((rows) => tensor(rows, { dtype: 'int32' }));
    for (const frames of [9, 6, 9])
      for (const targets of [...all, all[0]!]) {
        lengths[1] = frames;
        const [here, there] = [logits, onDevice].map((x) =>
          valueAndGrad((y: Tensor) => ctcLoss(y, targets, lengths, undefined, { from: 'logits' }).sum())(x),
        );
        expect(await there![0].item()).toBeCloseTo(await here![0].item(), 4);
        const exact = await here![1].data();
        (await there![1].data()).forEach((value, i) => {
          expect(value).toBeCloseTo(exact[i]!, 5);
        });
      }
  });

  test('launches over the same memory that differ in their parameters each have their own', async () => {
    const x = tensor(Float32Array.from({ length: 64 }, (_, i) => i)).to(device());
    for (let round = 0; round < 4; round++) {
      const rows = scope(() => {
        const parts: Tensor[] = [];
        // Each result's memory is the next one's again, so that of these launches only the parameters differ.
        for (let i = 0; i < 40; i++) {
          const part = scope(() => x.slice([((i * (round + 1)) % 60) + 1, ((i * (round + 1)) % 60) + 3]).mul(1));
          parts.push(part.sum().mul(i + round));
          part.dispose();
        }
        return stack(parts);
      });
      const expected = Array.from({ length: 40 }, (_, i) => (2 * ((i * (round + 1)) % 60) + 3) * (i + round));
      expect(Array.from(await rows.data())).toEqual(expected);
      rows.dispose();
    }
  });

  test('parameters that change from step to step are written, also where an op keeps one object for them', async () => {
    const x = tensor([1, 2, 4]).to(device());
    const params = { size: 3, rank: 1, shape: [3], xStrides: [1], yStrides: [0], zStrides: [0] };
    const elementwise = { code: 'x', arity: 1, result: 'number', operands: ['number'] } as const;
    const kernel: Kernel = {
      name: 'pick',
      family: 'elementwise',
      inputs: ['x'],
      outputs: ['out'],
      params: { size: 'u32', rank: 'u32', shape: 'u32x8', xStrides: 'i32x8', yStrides: 'i32x8', zStrides: 'i32x8' },
      elementwise,
    };
    const pick = defineOp<number>({
      name: 'pick',
      infer: ([t]) => t!,
      run: (call, [t], stride) => {
        params.xStrides[0] = stride;
        call.launch({ kernel, inputs: call.inputs, outputs: call.outputs, params, grid: t!.size });
      },
    });
    for (const stride of [1, 0, 0, 1, 1, 0]) {
      const y = scope(() => pick([x], stride));
      expect(Array.from(await y.data())).toEqual(stride === 1 ? [1, 2, 4] : [1, 1, 1]);
      y.dispose();
    }
    for (const correction of [0, 1, 1, 0.5, 0]) {
      const y = scope(() => x.variance(undefined, { correction }));
      expect(await y.item()).toBeCloseTo(14 / 3 / (3 - correction), 5);
      y.dispose();
    }
  });
});
