import { BYTES, type DType } from '../../backend.js';
import { fromBfloat16, fromHalf, toBfloat16, toHalf } from '../../../half.js';
import { copyStrided } from '../../strided.js';
import type { CpuBuffer } from '../buffer.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { cut, MOST_TASKS, parallel, partsFor } from '../pool.js';
import { copyTo, fillView, write } from '../transfer.js';
import { run } from './float32.js';
import { SHORT, variant } from './variant.js';

/** Any strided view to any other, of any element type. */
function generic(call: CpuCall): void {
  copyStrided<number>(
    call.numbers('shape'),
    call.inputs[0]!.view(),
    { strides: call.numbers('sourceStrides'), offset: call.number('sourceOffset') },
    call.outputs[0]!.view(),
    { strides: call.numbers('outStrides'), offset: call.number('outOffset') },
  );
}

/** Axes that the functions walk along; those before them are walked along here. */
const AXES = 4;

/** The innermost axes run inside WebAssembly, in a function of that name. */
function strided(call: CpuCall, name: string): void {
  const isCopy = name.startsWith('copy');
  const given = ['shape', 'sourceStrides', 'outStrides'].map((what) => call.numbers(what));
  const [shape, s, d] = (isCopy ? arranged(given) : given).map((list, i) => [
    ...new Array<number>(Math.max(AXES - list.length, 0)).fill(i === 0 ? 1 : 0),
    ...list,
  ]) as [number[], number[], number[]];
  const bytes = BYTES[call.outputs[0]!.dtype];
  const source = call.in(0) + call.number('sourceOffset') * bytes;
  const replaces = isCopy && sizeOf(shape) === call.outputs[0]!.length;
  const out = (replaces ? call.out(0) : call.update(0)) + call.number('outOffset') * bytes;
  const inner = shape.length - AXES;
  const block = [shape, s, d].flatMap((list) => list.slice(inner));
  const parts = isCopy && sizeOf(shape.slice(inner)) >= LEAST_BLOCK ? partsFor(COPY_COST * sizeOf(shape), true) : 1;
  const blocks: number[][] = [];
  const visitBlock = parts === 1 ? heap().functions[name]! : (...args: number[]) => blocks.push(args);
  const visit = (axis: number, from: number, to: number): void => {
    if (axis === inner) visitBlock(from, to, ...block);
    else for (let i = 0; i < shape[axis]!; i++) visit(axis + 1, from + i * s[axis]! * bytes, to + i * d[axis]! * bytes);
  };
  visit(0, source, out);
  const shared = blocks.length < parts ? blocks.flatMap((one) => cutBlock(one, parts, bytes)) : blocks;
  for (let i = 0; i < shared.length; i += MOST_TASKS) parallel(name, shared.slice(i, i + MOST_TASKS));
}

/** Lengths and steps in an order that suits the functions: before the last axis comes the one along which the source's elements lie side by side. */
function arranged(lists: readonly (readonly number[])[]): readonly (readonly number[])[] {
  const near = lists[1]!.indexOf(1);
  const last = lists[1]!.length - 1;
  if (near < 0 || near >= last - 1) return lists;
  return lists.map((list) => [...list.slice(0, near), ...list.slice(near + 1, last), list[near]!, list[last]!]);
}

/** Moving an element, in multiplications or so; and elements that a thread's block has at least. */
const COPY_COST = 2;
const LEAST_BLOCK = 4096;

/** Cuts one block, as the functions take it (addresses, lengths, steps of the source and of the destination), along its first long axis. */
function cutBlock(block: readonly number[], parts: number, bytes: number): number[][] {
  const axis = block.slice(2, 1 + AXES).findIndex((length) => length >= parts * GRAIN);
  const at = 2 + (axis < 0 ? AXES - 1 : axis);
  return cut(block[at]!, parts, GRAIN).map(([begin, end]) => {
    const piece = [...block];
    piece[0]! += begin * block[at + AXES]! * bytes;
    piece[1]! += begin * block[at + 2 * AXES]! * bytes;
    piece[at] = end - begin;
    return piece;
  });
}

/** Bounds between threads lie where squares of a transposition and lines of the cache begin. */
const GRAIN = 16;

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** A run of elements as it lies. Where the source or the result is an ordinary array nothing is brought to the heap first. */
function moveRun(call: CpuCall): boolean {
  const [n, further] = call.numbers('shape');
  if (further !== undefined || call.numbers('sourceStrides')[0] !== 1 || call.numbers('outStrides')[0] !== 1)
    return false;
  const [source, out] = [call.inputs[0]!, call.outputs[0]!];
  const [from, to] = [call.number('sourceOffset'), call.number('outOffset')];
  const bytes = BYTES[out.dtype];
  const isCopied = source.array === null || source.mirror !== null || source.resident !== null;
  if (isCopied && out.array === null) {
    if (partsFor(COPY_COST * n!, true) > 1) return false;
    heap().functions.copyRun!(call.in(0) + from * bytes, out.address + to * bytes, n! * bytes);
  } else if (isCopied) copyTo(out.array!.subarray(to, to + n!), call.in(0) + from * bytes);
  else {
    const run = source.length === n ? source.array! : source.array!.subarray(from, from + n!);
    if (out.array) out.array.set(run, to);
    else write(out.address + to * bytes, run);
  }
  return true;
}

/** An ordinary array is written in place where only a part of it is meant: bringing all of it to the heap and back would cost more. */
const copy: CpuKernel = (call) => {
  if (moveRun(call)) return;
  const [out] = call.outputs;
  const inPlace = out!.array === null || sizeOf(call.numbers('shape')) * 4 > out!.length;
  if (inPlace) strided(call, `copyStrided${BYTES[out!.dtype]}`);
  else generic(call);
};

/** Sums are formed as `add` forms them: float16 and bfloat16 in float32. */
const accumulate: CpuKernel = (call) => {
  const { dtype } = call.outputs[0]!;
  const name = variant('addStrided', dtype);
  if (name !== null) return strided(call, name);
  const shape = call.numbers('shape');
  const [s, d] = [call.numbers('sourceStrides'), call.numbers('outStrides')];
  const [source, out] = [call.inputs[0]!.view(), call.outputs[0]!.view()];
  const [decode, encode] = [decoder(dtype), encoder(dtype)];
  const visit = (axis: number, from: number, to: number): void => {
    const length = shape[axis]!;
    if (axis < shape.length - 1) {
      for (let i = 0; i < length; i++) visit(axis + 1, from + i * s[axis]!, to + i * d[axis]!);
      return;
    }
    const [step, outStep] = [s[axis]!, d[axis]!];
    for (let i = 0, a = from, b = to; i < length; i++, a += step, b += outStep) {
      out[b] = encode(Math.fround(decode(out[b]!) + decode(source[a]!)));
    }
  };
  visit(0, call.number('sourceOffset'), call.number('outOffset'));
};

const fill: CpuKernel = (call) => {
  const buffer = call.outputs[0]!;
  const value = encoder(buffer.dtype)(call.number('value'));
  if (buffer.dtype === 'float32' && !buffer.array) heap().functions.fill!(call.out(0), buffer.length, value);
  else fillView(buffer.view(), value);
};

const decoder = (dtype: DType): ((stored: number) => number) =>
  dtype === 'float16' ? fromHalf : dtype === 'bfloat16' ? fromBfloat16 : (value) => value;

/** Numbers as they are stored in a dtype. */
function encoder(dtype: DType): (value: number) => number {
  switch (dtype) {
    case 'float16':
      return toHalf;
    case 'bfloat16':
      return toBfloat16;
    case 'bool':
      return (value) => (value !== 0 ? 1 : 0);
    case 'int32':
      return (value) => Math.min(Math.max(Math.trunc(value), -(2 ** 31)), 2 ** 31 - 1); // NaN is stored as 0
    default:
      return (value) => value;
  }
}

/** Ordinary arrays of plain numbers are converted where they lie: bringing both to the heap would cost more. */
const isPlain = ({ dtype, array }: CpuBuffer): boolean =>
  array !== null && (dtype === 'float32' || dtype === 'float64' || dtype === 'int32');

const cast: CpuKernel = (call) => {
  const [x, out] = [call.inputs[0]!, call.outputs[0]!];
  if (isPlain(x) && isPlain(out) && out.dtype !== 'int32') {
    out.array!.set(x.array!);
    return;
  }
  const [from, to] = [call.in(0), call.out(0)];
  if (!castsByFloat32(x.dtype, out.dtype)) return castRun(x.dtype, out.dtype, from, to, x.length);
  const between = call.scratch(Math.min(x.length, BETWEEN) * BYTES.float32);
  for (let at = 0; at < x.length; at += BETWEEN) {
    const n = Math.min(BETWEEN, x.length - at);
    castRun(x.dtype, 'float32', from + at * BYTES[x.dtype], between, n);
    castRun('float32', out.dtype, between, to + at * BYTES[out.dtype], n);
  }
};

/** Elements that are float32 on their way at a time: not more than a cache holds, and enough for several threads. */
const BETWEEN = 2 ** 18;

/** @internal Whether a cast has no function of its own: between halves and others that float32 holds exactly it goes by way of float32. For the tests. */
export const castsByFloat32 = (from: DType, to: DType): boolean =>
  isHalf(from) ? to !== 'float32' : isHalf(to) && from === 'bool';

const isHalf = (dtype: DType): boolean => dtype === 'float16' || dtype === 'bfloat16';

/** n elements side by side. */
function castRun(dtype: DType, outDtype: DType, from: number, to: number, n: number): void {
  run(`cast${SHORT[dtype]}To${SHORT[outDtype]}`, {
    total: n,
    cost: 2 * n,
    grain: 16,
    args: (begin, end) => [from + begin * BYTES[dtype], to + begin * BYTES[outDtype], end - begin],
  });
}

export const copyKernels = { copy, accumulate, fill, cast };
