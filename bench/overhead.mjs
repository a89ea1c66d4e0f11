// What a step costs when there is hardly anything to compute: valueAndGrad of five ops on 16 numbers.
import { random, valueAndGrad } from 'tapegrad';
import { machine, race } from './harness.mjs';

const x = random(0).normal([16]);
const five = valueAndGrad((t) => t.mul(2).exp().add(1).tanh().sum());

console.log(machine());
const { five: time } = await race({
  five: () => {
    for (let i = 0; i < 1000; i++) five(x);
  },
});
console.log(
  `valueAndGrad of five ops on 16 numbers: ${time.median.toFixed(1)} us a call (best ${time.best.toFixed(1)}, worst ${time.worst.toFixed(1)})`,
);
