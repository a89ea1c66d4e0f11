import { defineOp, type Kernel, memory, mul, random, scope, setThreads, sum, tensor, valueAndGrad } from 'tapegrad';
import { memoryFlags } from '../../src/backends/cpu/generated/kernels.js';
import { kernelCode } from '../../src/backends/cpu/heap.js';

const kernel = (name: string, code: string): Kernel => ({
  name,
  family: 'elementwise',
  inputs: ['x', 'y'],
  outputs: ['out'],
  params: { size: 'u32', rank: 'u32', shape: 'u32x8', xStrides: 'i32x8', yStrides: 'i32x8', zStrides: 'i32x8' },
  elementwise: { code, arity: 2, result: 'number', operands: ['number', 'number'] },
});

/** An op outside the table of the package, as a user would define it. */
const define = (name: string, kernelName: string, code: string) =>
  defineOp<null>({
    name,
    infer: ([x]) => x!,
    run: (call, [x]) => {
      const size = x!.size;
      call.launch({
        kernel: kernel(kernelName, code),
        inputs: call.inputs,
        outputs: call.outputs,
        params: { size, rank: 1, shape: [size], xStrides: [1], yStrides: [1], zStrides: [0] },
        grid: size,
      });
    },
  });

describe('elementwise kernels', () => {
  test("a user's own expression runs on every dtype", () => {
    const op = define(
      'softThreshold',
      'softThreshold',
      'abs(x) <= y || isnan(y) ? 0 : x > 0 ? x - y : -(-x - y) + 0 * pow(x, 2)',
    );
    for (const dtype of ['float32', 'float64', 'int32'] as const) {
      const x = tensor([-3, -1, 0, 2, 5], { dtype });
      const y = tensor([1, 2, 3, 1, 2], { dtype });
      expect(op([x, y], null).arraySync()).toEqual([-2, 0, 0, 1, 3]);
    }
  });

  test('a kernel that borrows the name of a built-in one keeps its own code', () => {
    const op = define('notAddition', 'add', 'x - y');
    expect(op([tensor([5, 7]), tensor([1, 2])], null).arraySync()).toEqual([4, 5]);
  });

  test('products of int32 wrap around exactly', () => {
    const a = tensor([123456789, -2147483648, 65537], { dtype: 'int32' });
    const b = tensor([987654321, 3, 65537], { dtype: 'int32' });
    expect(mul(a, b).arraySync()).toEqual([Math.imul(123456789, 987654321), -2147483648, 131073]);
  });

  test('the same kernels run in memory that is not shared, as in a page without cross-origin isolation', () => {
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536 });
    const bytes = kernelCode();
    bytes[memoryFlags.at] = memoryFlags.plain;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      env: { memory, abort: () => undefined, sin: Math.sin, cos: Math.cos },
    });
    const floats = new Float32Array(memory.buffer);
    const functions = exports as unknown as Record<'heapBase' | 'square', (...args: number[]) => number>;
    const at = Math.ceil(functions.heapBase() / 64) * 64;
    floats.set([1, 2, 3, 4, 5], at / 4);
    functions.square(at, at + 64, 5);
    expect([...floats.subarray(at / 4 + 16, at / 4 + 21)]).toEqual([1, 4, 9, 16, 25]);
  });

  test('scratch memory of kernels does not add up', () => {
    setThreads(1); // every thread that joins takes scratch memory of its own, once
    const rng = random(1);
    const [a, b] = [rng.normal([300, 300]), rng.normal([300, 300])];
    const step = valueAndGrad((x: typeof a) => sum(x.matmul(b).matmul(b).matmul(b)));
    for (let i = 0; i < 3; i++) step(a);
    const before = memory();
    for (let i = 0; i < 20; i++) step(a);
    expect(memory()).toEqual(before);
    scope(() => {
      const start = memory().usedBytes;
      for (let i = 0; i < 50; i++) sum(a.matmul(b).slice([0, 1], [0, 1]));
      expect(memory().usedBytes - start).toBeLessThan(50 * 300 * 300 * 4 * 2); // the products themselves, not their packed operands
    });
  });
});
