/** Steps of the digits example's model, on the CPU and on the GPU as Node finds it; prints the losses. */
import { ctcLoss, device, mapTensors, optim, random, scope, valueAndGrad } from 'tapegrad';
import { loadDigits } from '../../../examples/digits/digits.mjs';
import { drawLine } from '../../../examples/digits/lines.mjs';
import { BLANK, model } from '../../../examples/digits/model.mjs';
import { toBatch } from '../../../examples/digits/training.mjs';

const digits = loadDigits();
const source = random(4);
const lines = Array.from({ length: 3 }, () => drawLine(source, digits.training, { distorted: true }));
const { images, frames, targets } = toBatch(lines);
const initial = model.init(random(1));
const optimizer = optim.adamw({ learningRate: 3e-3 });

async function train(on) {
  let params = mapTensors((t) => t.to(on), initial);
  let state = optimizer.init(params);
  const x = images.to(on);
  const losses = [];
  for (let i = 0; i < 3; i++) {
    const made = scope(() => {
      const [value, gradients] = valueAndGrad((p) =>
        ctcLoss(model.apply(p, x), targets, frames, undefined, { blank: BLANK, from: 'logits', reduction: 'mean' }),
      )(params);
      return { ...optimizer.update(params, optim.clipByGlobalNorm(gradients, 5).gradients, state), value };
    });
    ({ params, state } = made);
    losses.push(await made.value.item());
  }
  return losses;
}

const gpu = await device('webgpu');
console.log(JSON.stringify({ cpu: await train(await device('cpu')), gpu: await train(gpu), name: gpu.description }));
