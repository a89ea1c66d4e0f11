import { BYTES, type Kernel as KernelSpec, type TypedArray } from '../../backend.js';
import { fold, type Language, parseExpression } from '../../expression.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { elementwiseCodes, elementwiseLoops } from '../generated/elementwise.js';
import { heap } from '../heap.js';
import { erf, erfc, power } from '../special.js';

type Scalar = (x: number, y: number, z: number) => number;
type Simd = (...args: number[]) => number;

/** One run of elements in float64, as src/backends/cpu/generated/elementwise.ts has it for every row. */
type Loop = (
  out: TypedArray, at: number, n: number, xs: TypedArray, xAt: number, xStep: number, ys: TypedArray, yAt: number, yStep: number, zs: TypedArray, zAt: number, zStep: number,
) => void;

/** How one elementwise kernel runs: SIMD over the element types that it was generated for, and a loop for any others. */
interface Program {
  readonly simd: Simd | null;
  readonly loop: Loop;
}

const generatedCodes: Readonly<Record<string, string>> = elementwiseCodes;
const generatedLoops: Readonly<Record<string, Loop>> = elementwiseLoops;

const programs = new WeakMap<KernelSpec, Program>();

/** Rows of src/ops/elementwise.ts were compiled with the package; the code of other ops is put together from closures here. */
function programOf(kernel: KernelSpec): Program {
  const known = programs.get(kernel);
  if (known) return known;
  const { code, arity } = kernel.elementwise!;
  const generated = generatedCodes[kernel.name] === code;
  const program: Program = generated
    ? { simd: heap().kernels[kernel.name]!, loop: generatedLoops[kernel.name]! }
    : { simd: null, loop: loopOf(fold(parseExpression(code, arity), closures)) };
  programs.set(kernel, program);
  return program;
}

const FUNCTIONS: Readonly<Record<string, (a: number, b: number) => number>> = {
  exp: Math.exp, expm1: Math.expm1, log: Math.log, log1p: Math.log1p, sqrt: Math.sqrt, abs: Math.abs, sin: Math.sin, cos: Math.cos, tanh: Math.tanh,
  erf, erfc, floor: Math.floor, pow: power, min: Math.min, max: Math.max,
  isnan: (a) => Number(Number.isNaN(a)), isfinite: (a) => Number(Number.isFinite(a)),
};

const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '+': (a, b) => a + b, '-': (a, b) => a - b, '*': (a, b) => a * b, '/': (a, b) => a / b,
  '<': (a, b) => Number(a < b), '<=': (a, b) => Number(a <= b), '>': (a, b) => Number(a > b), '>=': (a, b) => Number(a >= b),
  '==': (a, b) => Number(a === b), '!=': (a, b) => Number(a !== b), '&&': (a, b) => a && b, '||': (a, b) => a || b,
};

/** Expressions as closures: unlike `new Function`, allowed in pages with a content security policy. Truth values are 0 and 1. */
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

/** Whether the buffers hold what the SIMD code reads and writes: float32, and bytes where truth values are declared. */
function fitsSimd({ inputs, outputs, launch }: CpuCall): boolean {
  const { operands, result } = launch.kernel.elementwise!;
  for (let i = 0; i < inputs.length; i++) if (inputs[i]!.dtype !== (operands[i] === 'bool' ? 'bool' : 'float32')) return false;
  return outputs[0]!.dtype === (result === 'bool' ? 'bool' : 'float32');
}

/** Calls `visit` for each block along the axes from `inner` on, with the operands' offsets there. */
function eachBlock(shape: readonly number[], strides: readonly (readonly number[])[], inner: number, visit: (offsets: readonly number[], block: number) => void): void {
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

/** The two innermost axes run inside WebAssembly; the innermost strides are 0 or 1, the operands being contiguous. */
function runSimd(call: CpuCall, simd: Simd): void {
  const { inputs } = call;
  if (inputs.length === 1) {
    simd(call.in(0), call.out(0), call.number('size'));
    return;
  }
  const shape = call.numbers('shape');
  const last = shape.length - 1;
  const n = shape[last]!;
  const rows = last > 0 ? shape[last - 1]! : 1;
  const [xs, ys, zs] = STRIDES.map((name) => call.numbers(name)) as [readonly number[], readonly number[], readonly number[]];
  const x = call.in(0);
  const y = call.in(1);
  const z = inputs.length > 2 ? call.in(2) : 0;
  const out = call.out(0);
  const rowStep = (strides: readonly number[]): number => (last > 0 ? strides[last - 1]! : 0);
  const run = (at: number, bt: number, ct: number, to: number): void => {
    if (inputs.length === 2) simd(at, bt, to, rows, n, rowStep(xs), rowStep(ys), xs[last]!, ys[last]!);
    else simd(at, bt, ct, to, rows, n, rowStep(xs), rowStep(ys), rowStep(zs), xs[last]!, ys[last]!, zs[last]!);
  };
  if (last < 2) return run(x, y, z, out);
  const [xBytes, yBytes, zBytes] = inputs.map((buffer) => BYTES[buffer.dtype]) as [number, number, number?];
  const blockBytes = rows * n * BYTES[call.outputs[0]!.dtype];
  eachBlock(shape, inputs.length > 2 ? [xs, ys, zs] : [xs, ys], last - 1, (offsets, block) => {
    run(x + offsets[0]! * xBytes, y + offsets[1]! * yBytes, z + (offsets[2] ?? 0) * (zBytes ?? 0), out + block * blockBytes);
  });
}

const loopOf = (f: Scalar): Loop => (out, at, n, xs, xAt, xStep, ys, yAt, yStep, zs, zAt, zStep) => {
  for (let i = 0; i < n; i++) out[at + i] = f(xs[xAt + i * xStep]!, ys[yAt + i * yStep]!, zs[zAt + i * zStep]!);
};

/** float64 would round products beyond 2^53; int32 wraps around as in NumPy. */
const multiplyIntegers = loopOf(Math.imul);

/** Any element types, through float64. */
function runLoop(call: CpuCall, loop: Loop): void {
  const shape = call.numbers('shape');
  const strides = STRIDES.slice(0, call.inputs.length).map((name) => call.numbers(name));
  const views = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  const run = call.launch.kernel.name === 'mul' && out instanceof Int32Array ? multiplyIntegers : loop;
  const [x, y = x, z = x] = views as [TypedArray, TypedArray?, TypedArray?];
  const last = shape.length - 1;
  const n = shape[last]!;
  const [xStep, yStep = 0, zStep = 0] = strides.map((stride) => stride[last]!) as [number, number?, number?];
  eachBlock(shape, strides, last, ([xAt, yAt = 0, zAt = 0], block) => run(out, block * n, n, x, xAt!, xStep, y, yAt, yStep, z, zAt, zStep));
}

/** One kernel for every elementwise op. */
export const elementwise: CpuKernel = (call) => {
  const { simd, loop } = programOf(call.launch.kernel);
  if (simd && fitsSimd(call)) runSimd(call, simd);
  else runLoop(call, loop);
};
