// npm run bench -- steps [--json] [--quick] [--only mlp,digits]
// Whole training steps, forward, loss, backward and AdamW, beside torch: processor time of one thread, taking turns, medians with their spread. The models
// are bench/yardsticks/torch_steps.py's, of the same shapes. Data are random; both sides draw their own. With BLAS is in a scope, too.
import { parseArgs } from 'node:util';
import { optim, random, scope, setThreads, valueAndGrad } from 'tapegrad';
import {
  describeTorch,
  machine,
  processorTimeOf,
  ratio,
  startTorch,
  summary,
  takeTurns,
  withBlas,
} from './harness.mjs';
import { MODELS } from './models.mjs';

const donate = ['params', 'gradients', 'state'];

/** A step that goes on from where the last one ended, in a scope or not. */
function stepOf([start, loss], inScope) {
  const optimizer = optim.adamw({ learningRate: 1e-3 });
  const differentiate = valueAndGrad(loss);
  let made = { params: start, state: optimizer.init(start) };
  const step = () => {
    const [value, gradients] = differentiate(made.params);
    return { ...optimizer.update(made.params, gradients, made.state, { donate }), value: value.itemSync() };
  };
  return () => {
    made = inScope ? scope(step) : step();
    return made.value;
  };
}

const { values: options } = parseArgs({
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string' } },
});
const chosen = options.only?.split(',');
// Steps are of hundreds of functions, which V8 compiles for seconds: in a training of thousands of steps that counts for nothing.
const turns = options.quick ? { rounds: 3, roundMs: 30 } : { rounds: 9, roundMs: 120, warmUpMs: 4000 };
const torch = await startTorch();
setThreads(1);
const rows = [];
if (!options.json) {
  console.log(`${machine()}, one thread; ${describeTorch(torch)}`);
  console.log('milliseconds of processor time: median (best to worst); ratios are medians of each round’s own');
}
for (const { title, make, sizes } of MODELS) {
  if (chosen && !chosen.includes(make.name)) continue;
  await torch?.prepare(`from torch_steps import ${make.name}\nrun = ${make.name}(${sizes.join(', ')})`);
  const [inside, outside] = [true, false].map((inScope) => stepOf(make(random(1), sizes), inScope));
  const blas = await withBlas(inside);
  const times = await takeTurns(
    {
      'in a scope': (count) => processorTimeOf(inside, count),
      outside: (count) => processorTimeOf(outside, count),
      ...(blas && { 'with BLAS': blas }),
      ...(torch && { torch: (count) => torch.time(count) }),
    },
    turns,
  );
  const ratios = torch
    ? Object.fromEntries(Object.entries(times).map(([name, list]) => [name, ratio(list, times.torch)]))
    : {};
  rows.push({
    name: make.name,
    title,
    milliseconds: Object.fromEntries(Object.entries(times).map(([name, list]) => [name, summary(list)])),
    ratios,
  });
  if (options.json) continue;
  console.log(title);
  for (const [name, { median, best, worst }] of Object.entries(rows.at(-1).milliseconds)) {
    const beside = ratios[name] === undefined || name === 'torch' ? '' : `  ${ratios[name].toFixed(2)}x torch`;
    console.log(`  ${name.padEnd(12)} ${median.toFixed(2)} (${best.toFixed(2)} to ${worst.toFixed(2)})${beside}`);
  }
}
torch?.stop();
if (options.json)
  console.log(
    JSON.stringify(
      {
        machine: machine(),
        torch: torch && { version: torch.version, instructions: torch.instructions, blas: torch.blas },
        rows,
      },
      null,
      1,
    ),
  );
