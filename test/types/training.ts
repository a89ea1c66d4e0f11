import { checkpoint, grad, nn, optim, random, type Tensor } from 'tapegrad';
import { check, type Same } from './expect.js';

/* What training gives and takes is typed by the parameters, without a cast. */

const model = nn.group({ front: nn.conv1d(2, 3, 3), head: nn.linear(3, 2) });
type Params = nn.ParamsOf<typeof model>;
const params = model.init(random(1));
declare const x: Tensor;

for (const optimizer of [optim.adam({ learningRate: 1 }), optim.adamw({ learningRate: optim.oneCycle(1, 10) })]) {
  const state = optimizer.init(params);
  const next = optimizer.update(params, params, state, { scale: optim.plateau().init().scale });
  check<Same<typeof next, { params: Params; state: optim.AdamState<Params> }>>();
  check<Same<ReturnType<typeof optimizer.learningRate>, number>>();
  // @ts-expect-error the state of another optimizer
  optimizer.update(params, params, optim.sgd({ learningRate: 1 }).init(params));
}
optim.sgd({
  learningRate: optim.step(1, [2, 3]),
  decay: (path, t) => path.endsWith('weight') && t.rank > 1,
  trainable: (path) => !path.startsWith('front.'),
  rate: () => 0.5,
});
// @ts-expect-error a number is no choice
optim.sgd({ learningRate: 1, decay: () => 1 });

const averaged = optim.ema({ decay: 0.9 }).init(params);
check<Same<typeof averaged.average, Params>>();
const sum = optim.accumulate(optim.accumulate(null, params), params);
check<Same<typeof sum.gradients, Params>>();

// A checkpoint is a function like the one in it; parameters without a type are tensors.
const block = checkpoint((p: Params, y: Tensor) => ({ y: model.apply(p, y), count: 1 }));
check<Same<typeof block, (p: Params, y: Tensor) => { y: Tensor; count: number }>>();
const plain = checkpoint((y) => y.exp());
check<Same<ReturnType<typeof plain>, Tensor>>();
const gradients = grad((p: Params) => block(p, x).y.sum())(params);
check<Same<typeof gradients, Params>>();
