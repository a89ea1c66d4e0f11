import {
  customVjp,
  grad,
  type GradientOf,
  hessian,
  hvp,
  jacobian,
  jvp,
  mapTensors,
  type NestedArray,
  scope,
  stopGradient,
  type Tensor,
  tensor,
  type TensorFunction,
  type TensorLike,
  valueAndGrad,
  vjp,
} from 'tapegrad';
import { check, type Same } from './expect.js';

interface Parameters {
  weight: Tensor;
  readonly bias: Tensor;
  extra?: Tensor;
  layers: { kernel: Tensor; scale: [Tensor, Tensor] }[];
  nothing: null;
  empty: [];
}

declare const parameters: Parameters;
declare const x: Tensor;
declare const labels: number[];

// The gradient has the type of the argument: optional, readonly, tuple, null and empty members included.
check<Same<GradientOf<Parameters>, Parameters>>();
check<Same<GradientOf<[Tensor, { a: Tensor } | null]>, [Tensor, { a: Tensor } | null]>>();
check<Same<GradientOf<readonly Tensor[]>, readonly Tensor[]>>();
check<Same<GradientOf<Tensor | undefined>, Tensor | undefined>>();

const loss = (p: Parameters, input: Tensor, _labels: number[]): Tensor => input.matmul(p.weight).add(p.bias).mean();

// valueAndGrad: by the first argument, by another, by several, in the order asked for.
const first = valueAndGrad(loss)(parameters, x, labels);
check<Same<typeof first, [Tensor, Parameters]>>();
const second = valueAndGrad(loss, { argnums: 1 })(parameters, x, labels);
check<Same<typeof second, [Tensor, Tensor]>>();
const both = valueAndGrad(loss, { argnums: [1, 0] })(parameters, x, labels);
check<Same<typeof both, [Tensor, [Tensor, Parameters]]>>();
const single = valueAndGrad(loss, { argnums: [0] })(parameters, x, labels);
check<Same<typeof single, [Tensor, [Parameters]]>>();

// grad
const gradient = grad(loss)(parameters, x, labels);
check<Same<typeof gradient, Parameters>>();
const pair = grad(loss, { argnums: [0, 1] })(parameters, x, labels);
check<Same<typeof pair, [Parameters, Tensor]>>();

// Parameters without types are tensors; written types are kept, those that take more than tensors included.
const inferred = valueAndGrad((a, b) => a.mul(b).sum());
check<Same<typeof inferred, (a: Tensor, b: Tensor) => [Tensor, Tensor]>>();
const inferredBoth = grad((a, b) => a.mul(b).sum(), { argnums: [1, 0] });
check<Same<typeof inferredBoth, (a: Tensor, b: Tensor) => [Tensor, Tensor]>>();
const inferredAux = valueAndGrad((a) => [a.sum(), { size: a.size }], { hasAux: true });
check<Same<typeof inferredAux, (a: Tensor) => [[Tensor, { size: number }], Tensor]>>();
const inferredLater = grad(async (a) => Promise.resolve(a.sum()));
check<Same<typeof inferredLater, (a: Tensor) => Promise<Tensor>>>();
const loose = valueAndGrad((a: Tensor, ids: TensorLike, mask: Tensor | null) =>
  a
    .take(ids)
    .mul(mask ?? 1)
    .sum(),
);
check<Same<typeof loose, (a: Tensor, ids: TensorLike, mask: Tensor | null) => [Tensor, Tensor]>>();
const named: TensorFunction = (a, b) => a!.mul(b!).sum();
const ofNamed = valueAndGrad(named);
check<Same<typeof ofNamed, (...inputs: Tensor[]) => [Tensor, Tensor]>>();
const optional = grad((a: Tensor, b?: Tensor) => a.mul(b ?? 1).sum());
check<Same<typeof optional, (a: Tensor, b?: Tensor) => Tensor>>();
const allowed = grad((a) => a.argmax().cast('float32'), { allowConstant: true });
check<Same<typeof allowed, (a: Tensor) => Tensor>>();

// What is no tensor stays as it is.
const mixed = grad((p: { w: Tensor; rate: number; name: 'net' }) => p.w.mul(p.rate).sum());
check<Same<ReturnType<typeof mixed>, { w: Tensor; rate: number; name: 'net' }>>();

// Reading with a type
check<Same<ReturnType<typeof x.arraySync>, NestedArray>>();
check<Same<ReturnType<typeof x.arraySync<number[][]>>, number[][]>>();
check<Same<ReturnType<typeof x.array<boolean[]>>, Promise<boolean[]>>>();
const matrixOf: number[][] = x.arraySync();

// Nested: the gradient of a gradient.
const curvature = grad((t: Tensor) => grad((u: Tensor) => u.pow(3).sum())(t).sum())(x);
check<Same<typeof curvature, Tensor>>();

// hasAux: a tuple comes without 'as const'; its second part keeps its type.
const withAux = valueAndGrad((p: Parameters) => [p.weight.sum(), { logits: p.weight, count: 3 }], { hasAux: true })(
  parameters,
);
check<Same<typeof withAux, [[Tensor, { logits: Tensor; count: number }], Parameters]>>();
const constAux = valueAndGrad((p: Parameters) => [p.weight.sum(), 'text'] as const, { hasAux: true })(parameters);
check<Same<typeof constAux, [readonly [Tensor, 'text'], Parameters]>>();
const auxByTwo = valueAndGrad((a: Tensor, b: { c: Tensor }) => [a.mul(b.c).sum(), 7], {
  hasAux: true,
  argnums: [1, 0],
})(x, { c: x });
check<Same<(typeof auxByTwo)[1], [{ c: Tensor }, Tensor]>>();
const gradAux = grad((a: Tensor) => [a.sum(), { text: 'kept' }], { hasAux: true })(x);
check<Same<typeof gradAux, [Tensor, { text: string }]>>();

// Async functions give promises of the same.
const later = valueAndGrad(async (p: Parameters) => Promise.resolve(p.weight.sum()))(parameters);
check<Same<typeof later, Promise<[Tensor, Parameters]>>>();
const laterGrad = grad(async (p: [Tensor]) => Promise.resolve(p[0].sum()))([x]);
check<Same<typeof laterGrad, Promise<[Tensor]>>>();
const laterAux = valueAndGrad(async (a: Tensor): Promise<[Tensor, string]> => Promise.resolve([a.sum(), 'text']), {
  hasAux: true,
})(x);
check<Same<typeof laterAux, Promise<[[Tensor, string], Tensor]>>>();
const laterGradAux = grad(async (a: Tensor): Promise<[Tensor, string]> => Promise.resolve([a.sum(), 'text']), {
  hasAux: true,
})(x);
check<Same<typeof laterGradAux, Promise<[Tensor, string]>>>();

// vjp, hvp, hessian, jacobian, stopGradient, scope, mapTensors, customVjp
const product = vjp((p: Parameters) => ({ y: p.weight, z: [p.bias] as [Tensor] }), parameters, { y: x, z: [x] });
check<Same<typeof product, [{ y: Tensor; z: [Tensor] }, Parameters]>>();
const direction = hvp((p: Parameters) => p.weight.sum(), parameters, parameters);
check<Same<typeof direction, Parameters>>();
const pushed = jvp((p: Parameters) => ({ y: p.weight, n: 3 }), parameters, parameters);
check<Same<(typeof pushed)[0], { y: Tensor; n: number }>>();
check<Same<(typeof pushed)[1], { y: Tensor; n: number }>>();
const pushedLater = jvp(async (p: Tensor) => Promise.resolve([p] as [Tensor]), x, x);
check<Same<typeof pushedLater, Promise<[[Tensor], [Tensor]]>>>();
const pulledLater = vjp(async (p: Tensor) => Promise.resolve([p] as [Tensor]), x, [x]);
check<Same<typeof pulledLater, Promise<[[Tensor], Tensor]>>>();
const matrix = hessian((t) => t.square().sum());
check<Same<typeof matrix, (t: Tensor) => Tensor>>();
const rows = jacobian((t: Tensor, scale: number) => t.mul(scale));
check<Same<typeof rows, (t: Tensor, scale: number) => Tensor>>();
const byLabels = jacobian((ids: number[], t: Tensor) => t.take(ids), { argnums: 1 });
check<Same<typeof byLabels, (ids: number[], t: Tensor) => Tensor>>();
check<Same<ReturnType<typeof stopGradient<Parameters>>, Parameters>>();
const scoped = scope(() => ({ a: x, n: 3 }));
check<Same<typeof scoped, { a: Tensor; n: number }>>();
const mapped = mapTensors((t) => t.mul(2), parameters);
check<Same<typeof mapped, Parameters>>();
const averaged = mapTensors((a, b, path) => (path === '' ? a : a.add(b)), parameters, parameters);
check<Same<typeof averaged, Parameters>>();
const counts = mapTensors((t) => t.size, { a: x, b: [x, 'text'] as [Tensor, string] });
check<Same<typeof counts, { a: number; b: [number, string] }>>();
const custom = customVjp(
  (a: Tensor, b: Tensor) => a.mul(b),
  (g, [a, b], y) => [g.mul(b), g.mul(a).add(y)],
);
check<Same<typeof custom, (a: Tensor, b: Tensor) => Tensor>>();

// What must not compile.
// @ts-expect-error text is nothing that an array holds
x.arraySync<string[]>();
// @ts-expect-error an argument is missing
valueAndGrad((a, b) => a.mul(b).sum())(x);
// @ts-expect-error the point comes second
hessian((t) => t.sum(), x);
// @ts-expect-error a tangent has the structure of the input
jvp((p: { a: Tensor }) => p.a, { a: x }, x);
// @ts-expect-error no such option
grad((t) => t.sum(), { argnum: 0 });
// @ts-expect-error a function of arrays, called with a tensor
valueAndGrad((p: Tensor[]) => p[0]!.sum())(x);
// @ts-expect-error the result is no tensor
valueAndGrad((p: Tensor) => p.shape)(x);
// @ts-expect-error with hasAux a pair is returned
valueAndGrad((p: Tensor) => p.sum(), { hasAux: true })(x);
// @ts-expect-error a pair needs hasAux
grad((p: Tensor) => [p.sum(), p])(x);
// @ts-expect-error cotangents have the structure of the outputs
vjp((p: Tensor) => [p, p] as [Tensor, Tensor], x, x);
// @ts-expect-error a direction has the structure of the input
hvp((p: { a: Tensor }) => p.a.sum(), { a: x }, { b: x });
const threeOfTwo = (g: Tensor, [a, b, c]: [Tensor, Tensor, Tensor]): Tensor[] => [g.mul(b), g.mul(a), c];
// @ts-expect-error the vjp of two inputs gets two
customVjp((a: Tensor, b: Tensor) => a.mul(b), threeOfTwo);
// @ts-expect-error an async function gives a promise, not a value
valueAndGrad(async (p: Tensor) => Promise.resolve(p.sum()))(x)[0].itemSync();
// @ts-expect-error the function comes first
mapTensors(parameters, (t: Tensor) => t);
// @ts-expect-error trees of different structure
mapTensors((a, b) => a.add(b), { a: x }, { b: x });
// @ts-expect-error one tree gives one tensor: the second argument is the place
mapTensors((a, b) => a.add(b), parameters);
// @ts-expect-error text is no tensor data
tensor('text');

export { matrixOf };
