/**
 * A GPU for tests, as WebGPU is one: it works in the background, cannot be waited for in place, and says late what went wrong. Its language is
 * JavaScript, so that it shows what a new device has to bring: a dialect, kernels, and these calls. `faults` makes it fail.
 */
import { compileFunction } from 'node:vm';
import type { Kernel } from 'tapegrad';
import { arrayClass, BYTES, type DType, type TypedArray } from '../../src/backends/backend.js';
import { GpuBackend } from '../../src/backends/gpu/backend.js';
import type { GpuDevice, GpuMemory, GpuProgram, Launch, Submission } from '../../src/backends/gpu/device.js';
import type { Dialect } from '../../src/backends/gpu/dialect.js';
import { DeviceError, OutOfMemoryError } from '../../src/errors.js';

/** What goes wrong from now on. */
export interface Faults {
  /** Kernels whose entry begins so do not compile. */
  compile?: string;
  /** Launches of kernels of this name are invalid. */
  launch?: string;
  /** Buffers of more bytes do not fit. */
  memory?: number;
  /** The device is gone. */
  lost?: boolean;
  /** Told of the kernels of each submission, by name. */
  onRun?: (kernels: readonly string[]) => void;
}

const TYPES: Readonly<Partial<Record<DType, string>>> = {
  float32: 'Float32Array',
  int32: 'Int32Array',
  bool: 'Uint8Array',
};

const CALLS = Object.fromEntries(
  ['exp', 'expm1', 'log', 'log1p', 'sqrt', 'abs', 'sin', 'cos', 'atan', 'tanh', 'floor', 'pow', 'min', 'max'].map(
    (name) => [name, `Math.${name}`],
  ),
);

/** A kernel gets its buffers as ArrayBuffers and its parameters as words. */
const javaScript: Dialect = {
  types: TYPES,
  bytes: BYTES,
  include: /^#include "(\w+)"$/gm,
  entry: (name) => `function ${name}(`,
  prelude: (_family, input, output) =>
    `const In = ${TYPES[input ?? 'float32']!}, Out = ${TYPES[output ?? 'float32']!};\n`,
  number: String,
  choice: (test, then, otherwise) => `(${test} ? ${then} : ${otherwise})`,
  statement: (name, _kind, text) => `const ${name} = ${text};`,
  functions: {
    float: { ...CALLS, isnan: 'Number.isNaN', isfinite: 'Number.isFinite' },
    whole: { abs: 'Math.abs', min: 'Math.min', max: 'Math.max' },
  },
  elementwise: ({ entry, operands, output, statements, result }) => `
function ${entry}(${[...operands.map(({ name }) => `${name}_`), 'out_', 'words'].join(', ')}) {
  const p = elementwiseParams(words), out = new ${TYPES[output]!}(out_);
  ${operands.map(({ name, dtype }) => `const ${name}s = new ${TYPES[dtype]!}(${name}_);`).join(' ')}
  for (let i = 0; i < p.size; i++) {
    ${operands.map(({ name }) => `const ${name} = ${name}s[placeOf(i, p, p.${name})];`).join(' ')}
    ${[...statements, `out[i] = ${result};`].join('\n    ')}
  }
}`,
  sources: {
    elementwise: `
function elementwiseParams(words) {
  const signed = new Int32Array(words.buffer);
  return { size: words[0], rank: words[1], shape: words.subarray(4, 12), x: signed.subarray(12, 20), y: signed.subarray(20, 28), z: signed.subarray(28, 36) };
}
function placeOf(i, p, strides) {
  let place = 0;
  for (let axis = p.rank - 1; axis >= 0; axis--) {
    place += (i % p.shape[axis]) * strides[axis];
    i = Math.floor(i / p.shape[axis]);
  }
  return place;
}`,
    reduce: `
function sum(x_, out_, [outer, axis, inner]) {
  const x = new In(x_), out = new Out(out_);
  for (let i = 0; i < outer * inner; i++) {
    let total = 0;
    for (let a = 0; a < axis; a++) total += x[(Math.floor(i / inner) * axis + a) * inner + (i % inner)];
    out[i] = total;
  }
}`,
    copy: `
function copy(source_, out_, words) {
  move(source_, out_, words, (_held, value) => value);
}
function accumulate(source_, out_, words) {
  move(source_, out_, words, (held, value) => held + value);
}
function move(source_, out_, words, combine) {
  const source = new In(source_), out = new Out(out_), signed = new Int32Array(words.buffer);
  const rank = words[0], shape = words.subarray(4, 12);
  const from = { offset: signed[12], strides: signed.subarray(16, 24) }, to = { offset: signed[24], strides: signed.subarray(28, 36) };
  const size = Array.from(shape.subarray(0, rank)).reduce((a, b) => a * b, 1);
  for (let i = 0; i < size; i++) {
    let rest = i, read = from.offset, write = to.offset;
    for (let axis = rank - 1; axis >= 0; axis--) {
      const position = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
      read += position * from.strides[axis];
      write += position * to.strides[axis];
    }
    out[write] = combine(out[write], source[read]);
  }
}
function fill(out_, words) {
  new Out(out_).fill(new Float32Array(words.buffer)[1], 0, words[0]);
}`,
  },
};

class FakeMemory implements GpuMemory {
  readonly contents: ArrayBuffer;
  readonly ready?: Promise<void>;
  constructor(
    readonly bytes: number,
    error?: Error,
  ) {
    if (error) this.ready = later(error);
    this.contents = new ArrayBuffer(Math.ceil(bytes / 8) * 8);
  }
  write(dtype: DType, data: TypedArray): void {
    new (arrayClass(dtype))(this.contents).set(data);
  }
  async read(dtype: DType, length: number): Promise<TypedArray> {
    await soon();
    return new (arrayClass(dtype))(this.contents, 0, length).slice();
  }
  release(): void {
    // the collector's
  }
}

interface FakeProgram extends GpuProgram {
  readonly kernel: Kernel;
  readonly run: (...args: unknown[]) => void;
}

const soon = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, 1);
  });

const later = async (error: Error): Promise<void> => {
  await soon();
  throw error;
};

class FakeDevice implements GpuDevice {
  readonly name = 'fake';
  readonly maxBufferLength = 2 ** 30;
  private queue: Promise<void> = Promise.resolve();
  constructor(private readonly faults: Faults) {}

  buffer(bytes: number): FakeMemory {
    const isTooMuch = this.faults.memory !== undefined && bytes > this.faults.memory;
    return new FakeMemory(bytes, isTooMuch ? new OutOfMemoryError('fake', `no ${bytes} bytes left`) : undefined);
  }

  program(source: string, entry: string, kernel: Kernel): FakeProgram {
    const make = compileFunction(`${source}\nreturn ${entry};`) as () => FakeProgram['run'];
    const run = make();
    const { compile } = this.faults;
    const fails = compile !== undefined && entry.startsWith(compile);
    const ready = fails ? later(new Error(`${entry}:1: expected ';'`)) : soon();
    return { kernel, run, maxThreads: 256, ready, release: () => undefined };
  }

  run(launches: readonly Launch[]): Submission {
    this.faults.onRun?.(launches.map(({ program }) => (program as FakeProgram).kernel.name));
    const work = this.queue.then(soon).then(() => {
      if (this.faults.lost) throw new DeviceError('fake', 'the device is lost');
      for (const { program, buffers, params } of launches) {
        const { kernel, run } = program as FakeProgram;
        if (this.faults.launch === kernel.name) throw new Error(`binding 1 of ${kernel.name} is missing`);
        run(...(buffers as readonly FakeMemory[]).map(({ contents }) => contents), params);
      }
    });
    this.queue = work.catch(() => undefined);
    return { done: () => work };
  }

  close(): void {
    // nothing to give back
  }
}

export class FakeGpu extends GpuBackend {
  readonly name = 'webgpu';
  readonly description = 'a fake';
  constructor(readonly faults: Faults = {}) {
    super(new FakeDevice(faults), javaScript, {});
  }
}
