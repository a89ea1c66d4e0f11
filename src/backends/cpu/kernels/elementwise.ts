import { BYTES, type DType, type TypedArray } from '../../backend.js';
import { fold, type Language, parseExpression } from '../../expression.js';
import type { Kernel as KernelSpec } from '../../kernel.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { elementwiseCodes, elementwiseLoops } from '../generated/elementwise.js';
import { heap } from '../heap.js';
import { cut, parallel, partsFor } from '../pool.js';
import { erf, erfc, normalCdf, power } from '../special.js';
import { variant } from './variant.js';

type Scalar = (x: number, y: number, z: number) => number;
type Simd = (...args: number[]) => number;

/** One run of elements in float64, as src/backends/cpu/generated/elementwise.ts has it for every formula. */
type Loop = (
  out: TypedArray,
  at: number,
  n: number,
  xs: TypedArray,
  xAt: number,
  xStep: number,
  ys: TypedArray,
  yAt: number,
  yStep: number,
  zs: TypedArray,
  zAt: number,
  zStep: number,
) => void;

/** A WebAssembly function by name, as threads call it, and itself. */
interface Compiled {
  readonly name: string;
  readonly simd: Simd;
}

/** How one elementwise kernel runs: SIMD over the element types that it was generated for, and a loop for any others. */
interface Program {
  readonly compiled: ReadonlyMap<DType, Compiled>;
  readonly loop: Loop;
  /** Where float64 would not do for int32. */
  readonly integerLoop: Loop;
  /** Of one element, in multiplications or so; memory counts, and functions of many instructions. */
  readonly cost: number;
}

const generatedCodes: Readonly<Record<string, string>> = elementwiseCodes;
const generatedLoops: Readonly<Record<string, Loop>> = elementwiseLoops;

const programs = new WeakMap<KernelSpec, Program>();

/** The formulas of src/ops/elementwise.ts were compiled with the package; the code of other ops is put together from closures here. */
function programOf(kernel: KernelSpec): Program {
  const known = programs.get(kernel);
  if (known) return known;
  const { code, arity } = kernel.elementwise!;
  const generated = generatedCodes[kernel.name] === code;
  const cost = /[a-z]\w+\(/.test(code) ? 6 : 2;
  const loop = generated ? generatedLoops[kernel.name]! : loopOf(fold(parseExpression(code, arity), closures));
  const program: Program = {
    compiled: generated ? compiledFor(kernel.name) : new Map<DType, Compiled>(),
    loop,
    integerLoop: (generated ? INTEGER_LOOPS[kernel.name] : undefined) ?? loop,
    cost,
  };
  programs.set(kernel, program);
  return program;
}

function compiledFor(kernel: string): ReadonlyMap<DType, Compiled> {
  const found = new Map<DType, Compiled>();
  for (const dtype of Object.keys(BYTES) as DType[]) {
    const name = variant(kernel, dtype);
    if (name !== null) found.set(dtype, { name, simd: heap().functions[name]! });
  }
  return found;
}

const FUNCTIONS: Readonly<Record<string, (a: number, b: number) => number>> = {
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sqrt: Math.sqrt,
  abs: Math.abs,
  sin: Math.sin,
  cos: Math.cos,
  atan: Math.atan,
  tanh: Math.tanh,
  erf,
  erfc,
  normalCdf,
  floor: Math.floor,
  pow: power,
  rem: (a, b) => a % b,
  min: Math.min,
  max: Math.max,
  isnan: (a) => Number(Number.isNaN(a)),
  isfinite: (a) => Number(Number.isFinite(a)),
};

const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => a / b,
  '<': (a, b) => Number(a < b),
  '<=': (a, b) => Number(a <= b),
  '>': (a, b) => Number(a > b),
  '>=': (a, b) => Number(a >= b),
  '==': (a, b) => Number(a === b),
  '!=': (a, b) => Number(a !== b),
  '&&': (a, b) => a && b,
  '||': (a, b) => a || b,
};

/** Expressions as closures, without compiling code at run time. Truth values are 0 and 1. */
const closures: Language<Scalar> = {
  number: (value) => () => value,
  operand: (name) => (name === 'x' ? (x) => x : name === 'y' ? (_x, y) => y : (_x, _y, z) => z),
  negate: (a) => (x, y, z) => -a(x, y, z),
  not: (a) => (x, y, z) => 1 - a(x, y, z),
  binary: (operator, a, b) => {
    const combine = OPERATORS[operator]!;
    return (x, y, z) => combine(a(x, y, z), b(x, y, z));
  },
  choice: (test, then, otherwise) => (x, y, z) => (test(x, y, z) ? then(x, y, z) : otherwise(x, y, z)),
  call: (name, [a, b]) => {
    const f = FUNCTIONS[name]!;
    return b ? (x, y, z) => f(a!(x, y, z), b(x, y, z)) : (x, y, z) => f(a!(x, y, z), 0);
  },
};

const STRIDES = ['xStrides', 'yStrides', 'zStrides'];

/**
 * The one type of all numbers of a launch, or of its truth values where it has nothing else; null where they are of several types, or truth values
 * are not kept as bool.
 */
function elementType({ inputs, outputs, launch }: CpuCall): DType | null {
  const { operands, result } = launch.kernel.elementwise!;
  let found: DType | null = null;
  for (let i = 0; i < inputs.length; i++) {
    const { dtype } = inputs[i]!;
    if (operands[i] === 'bool') {
      if (dtype !== 'bool') return null;
    } else if (found === null) found = dtype;
    else if (dtype !== found) return null;
  }
  found ??= 'bool';
  return outputs[0]!.dtype === (result === 'bool' ? 'bool' : found) ? found : null;
}

/** Calls `visit` for each block along the axes from `inner` on, with the operands' offsets there. */
function eachBlock(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  inner: number,
  visit: (offsets: readonly number[], block: number) => void,
): void {
  const position = new Array<number>(inner).fill(0);
  const offsets = strides.map(() => 0);
  let blocks = 1;
  for (let axis = 0; axis < inner; axis++) blocks *= shape[axis]!;
  for (let block = 0; block < blocks; block++) {
    visit(offsets, block);
    for (let axis = inner - 1; axis >= 0; axis--) {
      for (let s = 0; s < offsets.length; s++) offsets[s]! += strides[s]![axis]!;
      if (++position[axis]! < shape[axis]!) break;
      for (let s = 0; s < offsets.length; s++) offsets[s]! -= strides[s]![axis]! * shape[axis]!;
      position[axis] = 0;
    }
  }
}

/** Parts of a contiguous run begin where a step of the unrolled loops does. */
const GRAIN = 16;

/**
 * The two innermost axes run inside WebAssembly: `rows` runs of n elements. The innermost steps are 0 or 1, the operands being contiguous.
 * Below, small work takes a way without intermediate arrays: with few elements they would be most of the cost.
 */
function runSimd(call: CpuCall, { name, simd }: Compiled, cost: number): void {
  const { inputs } = call;
  const size = call.number('size');
  const parts = partsFor(cost * size, true);
  const x = call.in(0);
  if (inputs.length === 1) {
    const out = call.out(0);
    if (parts === 1) simd(x, out, size);
    else shareRun(call, name, parts, [x], out, size, [1]);
    return;
  }
  const shape = call.numbers('shape');
  const [xs, ys, zs] = [call.numbers('xStrides'), call.numbers('yStrides'), call.numbers('zStrides')];
  const last = shape.length - 1;
  const n = shape[last]!;
  const y = call.in(1);
  const z = inputs.length > 2 ? call.in(2) : 0;
  const out = call.out(0);
  if (last < 2 && parts === 1) {
    const rows = last === 1 ? shape[0]! : 1;
    const rowStep = (strides: readonly number[]): number => (last === 1 ? strides[0]! : 0);
    if (inputs.length === 2) simd(x, y, out, rows, n, rowStep(xs), rowStep(ys), xs[last]!, ys[last]!);
    else simd(x, y, z, out, rows, n, rowStep(xs), rowStep(ys), rowStep(zs), xs[last]!, ys[last]!, zs[last]!);
    return;
  }
  const strides = [xs, ys, zs].slice(0, inputs.length);
  const addresses = [x, y, z].slice(0, inputs.length);
  if (last === 0)
    shareRun(
      call,
      name,
      parts,
      addresses,
      out,
      n,
      strides.map((stride) => stride[0]!),
    );
  else if (last === 1) shareRows(call, name, parts, addresses, out, shape, strides);
  else runBlocks(call, simd, addresses, out, shape, strides);
}

const bytesOf = (call: CpuCall): [inputs: number[], out: number] => [
  call.inputs.map((buffer) => BYTES[buffer.dtype]),
  BYTES[call.outputs[0]!.dtype],
];

/** One run of n elements, divided among threads. */
function shareRun(
  call: CpuCall,
  name: string,
  parts: number,
  addresses: readonly number[],
  out: number,
  n: number,
  steps: readonly number[],
): void {
  const [bytes, outBytes] = bytesOf(call);
  const rest = addresses.length === 1 ? [] : [...steps.map(() => 0), ...steps];
  parallel(
    name,
    cut(n, parts, GRAIN).map(([begin, end]) => [
      ...addresses.map((at, i) => at + begin * steps[i]! * bytes[i]!),
      out + begin * outBytes,
      ...(addresses.length === 1 ? [] : [1]),
      end - begin,
      ...rest,
    ]),
  );
}

/** Rows of runs, divided among threads. */
function shareRows(
  call: CpuCall,
  name: string,
  parts: number,
  addresses: readonly number[],
  out: number,
  [rows, n]: readonly number[],
  strides: readonly (readonly number[])[],
): void {
  const [bytes, outBytes] = bytesOf(call);
  const steps = [...strides.map((stride) => stride[0]!), ...strides.map((stride) => stride[1]!)];
  parallel(
    name,
    cut(rows!, parts).map(([begin, end]) => [
      ...addresses.map((at, i) => at + begin * steps[i]! * bytes[i]!),
      out + begin * n! * outBytes,
      end - begin,
      n!,
      ...steps,
    ]),
  );
}

/** More axes than two: block by block. */
function runBlocks(
  call: CpuCall,
  simd: Simd,
  addresses: readonly number[],
  out: number,
  shape: readonly number[],
  strides: readonly (readonly number[])[],
): void {
  const [bytes, outBytes] = bytesOf(call);
  const last = shape.length - 1;
  const [rows, n] = [shape[last - 1]!, shape[last]!];
  const steps = [...strides.map((stride) => stride[last - 1]!), ...strides.map((stride) => stride[last]!)];
  eachBlock(shape, strides, last - 1, (offsets, block) => {
    simd(
      ...addresses.map((at, i) => at + offsets[i]! * bytes[i]!),
      out + block * rows * n * outBytes,
      rows,
      n,
      ...steps,
    );
  });
}

const loopOf =
  (f: Scalar): Loop =>
  (out, at, n, xs, xAt, xStep, ys, yAt, yStep, zs, zAt, zStep) => {
    for (let i = 0; i < n; i++) out[at + i] = f(xs[xAt + i * xStep]!, ys[yAt + i * yStep]!, zs[zAt + i * zStep]!);
  };

/** float64 would round powers beyond 2^53; int32 wraps around as in NumPy. */
const INTEGER_LOOPS: Readonly<Record<string, Loop>> = {
  pow: loopOf(integerPower),
};

/** base^exponent by squaring, modulo 2^32; negative exponents, which the op refuses where it can look, cut the fraction off. */
function integerPower(base: number, exponent: number): number {
  if (exponent < 0) return base === 1 || base === -1 ? integerPower(base, exponent & 1) : 0;
  let result = 1;
  for (let square = base, n = exponent; n > 0; n >>= 1) {
    if (n & 1) result = Math.imul(result, square);
    square = Math.imul(square, square);
  }
  return result;
}

/** Any element types, through float64. */
function runLoop(call: CpuCall, { loop, integerLoop }: Program): void {
  const shape = call.numbers('shape');
  const strides = STRIDES.slice(0, call.inputs.length).map((name) => call.numbers(name));
  const views = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  const body = out instanceof Int32Array ? integerLoop : loop;
  const [x, y = x, z = x] = views as [TypedArray, TypedArray?, TypedArray?];
  const last = shape.length - 1;
  const n = shape[last]!;
  const [xStep, yStep = 0, zStep = 0] = strides.map((stride) => stride[last]!) as [number, number?, number?];
  eachBlock(shape, strides, last, ([xAt, yAt = 0, zAt = 0], block) =>
    body(out, block * n, n, x, xAt!, xStep, y, yAt, yStep, z, zAt, zStep),
  );
}

/** One kernel for every elementwise op. */
export const elementwise: CpuKernel = (call) => {
  const program = programOf(call.launch.kernel);
  const type = elementType(call);
  const own = type && program.compiled.get(type);
  if (own) runSimd(call, own, program.cost);
  else runLoop(call, program);
};
