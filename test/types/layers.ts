import { nn, random, relu, type Tensor, valueAndGrad } from 'tapegrad';
import { check, type Same } from './expect.js';

declare const x: Tensor;
interface Running {
  readonly mean: Tensor;
}
declare const running: nn.StatefulLayer<{ weight: Tensor }, Running>;

// Layers without state are as they always were.
const plain = nn.sequential(nn.linear(2, 3), relu, (t) => t.tanh(), nn.dropout(0.5));
check<Same<nn.ParamsOf<typeof plain>, [nn.LinearParams, null, null, null]>>();
check<Same<nn.StateOf<typeof plain>, null>>();
const params = plain.init(random(1));
const y: Tensor = plain.apply(params, x, { random: random(1), lengths: [1] });
const asLayer: nn.Layer<[nn.LinearParams, null, null, null]> = plain;
check<Same<ReturnType<typeof plain.outputLength>, number>>();
const stages: nn.Stage[] = [nn.linear(2, 2), relu];
const dynamic = nn.sequential(...stages);
const dynamicResult: Tensor = dynamic.apply(dynamic.init(random(1)), x);

// One stage with state makes the whole one with state.
const model = nn.sequential(nn.linear(2, 3), running, nn.residual(nn.sequential(running, relu)));
check<Same<nn.ParamsOf<typeof model>, [nn.LinearParams, { weight: Tensor }, [{ weight: Tensor }, null]]>>();
check<Same<nn.StateOf<typeof model>, [null, Running, [Running, null]]>>();
const state = model.initState();
const trained = model.apply(model.init(random(1)), x, { state, training: true });
check<Same<typeof trained, [output: Tensor, state: nn.StateOf<typeof model>]>>();
const withRandom = model.apply(model.init(random(1)), x, { state, random: random(1) });
check<Same<typeof withRandom, [output: Tensor, state: nn.StateOf<typeof model>]>>();
const evaluated = model.apply(model.init(random(1)), x, { state });
check<Same<typeof evaluated, Tensor>>();
const evaluatedToo = model.apply(model.init(random(1)), x, { state, random: random(1), training: false });
check<Same<typeof evaluatedToo, Tensor>>();
declare const training: boolean;
const either = model.apply(model.init(random(1)), x, { state, training });
check<Same<typeof either, Tensor | [output: Tensor, state: nn.StateOf<typeof model>]>>();
const step = valueAndGrad(
  (p: nn.ParamsOf<typeof model>, s: nn.StateOf<typeof model>) => {
    const [output, next] = model.apply(p, x, { state: s, training: true });
    return [output.mean(), next];
  },
  { hasAux: true },
);
check<Same<ReturnType<typeof step>[0], [Tensor, nn.StateOf<typeof model>]>>();

// Groups have the names of their parts.
const named = nn.group({ front: nn.conv1d(2, 3, 3), act: relu, rnn: nn.gru(3, 4), head: nn.linear(4, 2) });
check<
  Same<nn.ParamsOf<typeof named>, { front: nn.ConvParams; act: null; rnn: nn.RecurrentParams; head: nn.LinearParams }>
>();
const namedResult: Tensor = named.apply(named.init(random(1)), x);
const wired = nn.group({ norm: running, head: nn.linear(2, 2) }, (part, t) => {
  check<Same<typeof t, Tensor>>();
  return part.head(part.norm(t, { lengths: [1] })).add(t);
});
check<Same<nn.StateOf<typeof wired>, { norm: Running; head: null }>>();

// A shortcut has parameters of its own.
const strided = nn.residual(nn.conv1d(2, 4, 3), { shortcut: nn.conv1d(2, 4, 1) });
check<Same<nn.ParamsOf<typeof strided>, { inner: nn.ConvParams; shortcut: nn.ConvParams }>>();
check<Same<nn.ParamsOf<typeof relu>, null>>();

// A list of blocks of one kind
const blocks = Array.from({ length: 3 }, () => nn.residual(nn.linear(2, 2)));
const stack = nn.sequential(...blocks);
check<Same<nn.ParamsOf<typeof stack>, nn.LinearParams[]>>();

// Several recurrent layers have other parameters than one.
declare const count: number;
const single = nn.gru(2, 3);
check<Same<nn.ParamsOf<typeof single>, nn.RecurrentParams>>();
const one = nn.gru(2, 3, { bidirectional: true, layers: 1 });
check<Same<nn.ParamsOf<typeof one>, nn.RecurrentParams>>();
const two = nn.lstm(2, 3, { layers: 2, dropout: 0.1 });
check<Same<nn.ParamsOf<typeof two>, nn.StackedRecurrentParams>>();
const some = nn.lstm(2, 3, { layers: count });
check<Same<nn.ParamsOf<typeof some>, nn.RecurrentParams | nn.StackedRecurrentParams>>();
const { state: ended } = two.run(two.init(random(1)), x, { initial: { hidden: x, cell: x } });
check<Same<typeof ended, nn.LstmState>>();

// Norms and attention
const normed = nn.sequential(nn.batchNorm(2), nn.groupNorm(1, 2), nn.rmsNorm(2), nn.multiHeadAttention(2, 1));
check<Same<nn.StateOf<typeof normed>, [nn.BatchNormState, null, null, null]>>();
check<Same<nn.ParamsOf<typeof normed>, [nn.NormParams, nn.NormParams, nn.RmsNormParams, nn.AttentionParams]>>();
const crossed = nn.group({ attend: nn.multiHeadAttention(2, 1) }, ({ attend }, t) => attend(t, { memory: x }));
check<Same<nn.ParamsOf<typeof crossed>, { attend: nn.AttentionParams }>>();

// Anything with init and apply is a layer.
const own = nn.sequential({
  init: () => ({ scale: x }),
  apply: (p: { scale: Tensor }, t: Tensor) => t.mul(p.scale),
  outputLength: (length: number) => length,
});
check<Same<nn.ParamsOf<typeof own>, [{ scale: Tensor }]>>();

// What must not compile
// @ts-expect-error a layer with state wants it
model.apply(model.init(random(1)), x);
// @ts-expect-error the state of another layer
model.apply(model.init(random(1)), x, { state: [null] });
// @ts-expect-error a layer without state gives a tensor, not a pair
plain.apply(params, x, { training: true })[1].shape;
// @ts-expect-error a layer with state is none without
const without: nn.Layer<unknown> = running;
// @ts-expect-error there is no such part
nn.group({ a: relu }, (part, t) => part.b(t));
// @ts-expect-error parts are layers or functions
nn.group({ a: 3 });
// @ts-expect-error the parameters of another layer
named.apply(params, x);

export { asLayer, dynamicResult, namedResult, without, y };
