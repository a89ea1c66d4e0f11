import { ctcLoss, nn, optim, random, scope, tanh, valueAndGrad } from 'tapegrad';
import { readmeExample } from '../built.js';
import { bundle } from './bundle.js';
import { browserTests, visit } from './page.js';

/** WebGPU in a real page, on the browser's software adapter: the README's example, and training as on the CPU. */

/** A few steps of a small net on a device, and its losses. Run here and, as text, in the page. */
async function train(device: unknown): Promise<number[]> {
  const model = nn.sequential(nn.linear(6, 12), tanh, nn.linear(12, 5));
  const optimizer = optim.adamw({ learningRate: 0.05 });
  const rng = random(3);
  let params = model.init(rng, { device: device as never });
  let state = optimizer.init(params);
  const x = rng.normal([12, 3, 6], { device: device as never });
  const step = valueAndGrad((p: typeof params) =>
    ctcLoss(model.apply(p, x), [[1, 2], [3], [4, 4, 1]], [12, 10, 12], undefined, {
      from: 'logits',
      reduction: 'mean',
    }),
  );
  const losses: number[] = [];
  for (let i = 0; i < 6; i++) {
    const made = scope(() => {
      const [value, gradients] = step(params);
      return { ...optimizer.update(params, gradients, state), value };
    });
    ({ params, state } = made);
    losses.push(await made.value.item());
  }
  return losses;
}

browserTests('WebGPU in a page', () => {
  test("the README's example, and training steps on the GPU as on the CPU", async () => {
    const { code, output } = readmeExample();
    const onGpu = code.replaceAll('loss.itemSync()', '(await loss.item())').replace(/^import .*$/m, '');
    const program = `
      import { send } from 'reporting';
      import { ctcLoss, device, logSoftmax, memory, nn, optim, random, scope, setDefaultDevice, tanh, valueAndGrad } from 'tapegrad';
      const train = ${train.toString().replace(/\(0, tapegrad_1\.(\w+)\)|tapegrad_1\.(\w+)/g, '$1$2')};
      const gpu = await device('webgpu');
      const [cpuLosses, gpuLosses] = [await train(await device('cpu')), await train(gpu)];
      const printed = [];
      setDefaultDevice(gpu);
      await (async () => {
        const console = { log: (...values) => printed.push(values.map((value) => Array.isArray(value) ? JSON.stringify(value) : String(value)).join(' ')) };
        ${onGpu}
      })();
      gpu.device.destroy();
      const lost = await gpu.sync().then(() => 'nothing', (error) => error.name);
      const again = await device('webgpu');
      await send({ printed, cpuLosses, gpuLosses, description: gpu.description, lost, isNew: again !== gpu, scopes: memory(gpu).scopes });
    `;
    const report = await visit<{ printed: string[]; cpuLosses: number[]; gpuLosses: number[]; description: string }>({
      isolated: false,
      webGpu: true,
      files: await bundle(program),
    });
    expect(report).toMatchObject({ printed: [output], lost: 'DeviceError', isNew: true, scopes: 0 });
    expect(report.description).toMatch(/^WebGPU \(.+\)$/);
    const here = await train(undefined);
    expect(report.cpuLosses).toEqual(here);
    here.forEach((loss, i) => {
      expect(Math.abs(report.gpuLosses[i]! - loss)).toBeLessThanOrEqual(1e-5 * loss);
    });
  });
});
