/** A BLAS library through koffi: loading, and finding out whether its products are right for 32-bit integers before anything relies on them. */
import { BlasError } from '../../../errors.js';
import type { Koffi, LibraryHandle } from '../../koffi.js';
import { heap } from '../heap.js';
import type { OutsideProduct, ProductType } from '../product.js';

/** CBLAS's constants. */
const ROW_MAJOR = 101;
const AS_IT_IS = 111;
const TRANSPOSED = 112;

/** Addresses cross as numbers: the heap is where it is for as long as the process lives, and views of it would have to be made anew for each call. */
const ADDRESS = 'uintptr_t';

type NativeCall = (...args: unknown[]) => unknown;

/** What sets the number of threads, in one library or another. */
const THREAD_SETTERS: readonly (readonly [name: string, type: string, argument: (n: number) => number])[] = [
  ['openblas_set_num_threads', 'int', (n) => n],
  ['MKL_Set_Num_Threads', 'int', (n) => n],
  ['bli_thread_set_num_threads', 'int64', (n) => n],
  ['BLASSetThreading', 'unsigned int', (n) => Number(n === 1)], // Accelerate since macOS 15 has two settings: several threads, and one
];

export interface OpenedBlas {
  readonly file: string;
  readonly description: string;
  readonly multiply: OutsideProduct;
  readonly setThreads: (n: number) => void;
}

const refuse = (problem: string): BlasError => new BlasError('useBlas', problem);

/** @throws {BlasError} the file is no library, none with the C interface of BLAS, one for 64-bit integers, or its products are wrong. */
export function openBlas(koffi: Koffi, file: string): OpenedBlas {
  const library = loadFitting(koffi, file);
  if (!has(library, 'cblas_sgemm')) {
    if (has(library, 'cblas_sgemm64_') || has(library, 'cblas_sgemm_64')) throw wideIntegers(file);
    throw refuse(`${file} has no cblas_sgemm: it is no BLAS library with the C interface`);
  }
  for (const name of ['cblas_dgemm', 'cblas_isamax'])
    if (!has(library, name)) throw refuse(`${file} has no ${name}: it is no complete BLAS library`);
  if (countsIn64Bits(library)) throw wideIntegers(file);
  const multiply = productOf(koffi, library);
  for (const dtype of ['float32', 'float64'] as const) checkProduct(file, multiply, dtype);
  const setters = THREAD_SETTERS.filter(([name]) => has(library, name)).map(([name, type, argument]) => {
    const set = library.func(name, 'void', [type]) as NativeCall;
    return (n: number) => void set(argument(n));
  });
  return { file, description: describe(library, file), multiply, setThreads: (n) => setters.forEach((set) => set(n)) };
}

function load(koffi: Koffi, file: string): LibraryHandle {
  try {
    return koffi.load(file);
  } catch (error) {
    throw refuse(`${file} does not load: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function has(library: LibraryHandle, symbol: string): boolean {
  try {
    library.func(symbol, 'void', []);
    return true;
  } catch {
    return false;
  }
}

const wideIntegers = (file: string): BlasError =>
  refuse(
    `${file} counts in 64-bit integers (an ILP64 build); name the ordinary build of it, such as libopenblas.so.0 or, for MKL, the one with MKL_INTERFACE_LAYER=LP64`,
  );

/**
 * Whether its integers have 64 bits. Asked for the largest of -(2^32) + 3 numbers, those libraries see none and answer 0; where an integer is the
 * lower 32 bits there are 3, and the answer is 2. Nothing is read that is not there.
 */
function countsIn64Bits(library: LibraryHandle): boolean {
  const largest = library.func('cblas_isamax', 'int', ['int64', 'void *', 'int64']) as NativeCall;
  return largest(-(2 ** 32) + 3, Float32Array.of(1, 2, 3), 1) !== 2;
}

function productOf(koffi: Koffi, library: LibraryHandle): OutsideProduct {
  const { memory } = heap();
  const base = Number(koffi.address(new Uint8Array(memory.buffer)));
  const bind = (name: string, type: string): NativeCall =>
    library.func(name, 'void', [
      ...['int', 'int', 'int', 'int', 'int', 'int'],
      ...[type, ADDRESS, 'int', ADDRESS, 'int', type, ADDRESS, 'int'],
    ]) as NativeCall;
  const calls: Readonly<Record<ProductType, NativeCall>> = {
    float32: bind('cblas_sgemm', 'float'),
    float64: bind('cblas_dgemm', 'double'),
  };
  return (dtype, a, b, out, { m, n, k }, { transA, transB, accumulate }) => {
    calls[dtype](
      ROW_MAJOR,
      transA ? TRANSPOSED : AS_IT_IS,
      transB ? TRANSPOSED : AS_IT_IS,
      m,
      n,
      k,
      1,
      base + a,
      transA ? m : k,
      base + b,
      transB ? k : n,
      Number(accumulate),
      base + out,
      n,
    );
  };
}

/** A small product, all ways: right to the bit, as its numbers are small and whole; old results are not read, and NaN is not lost where it meets 0. */
function checkProduct(file: string, multiply: OutsideProduct, dtype: ProductType): void {
  const [m, n, k] = [2, 4, 3];
  const Numbers = dtype === 'float32' ? Float32Array : Float64Array;
  const bytes = Numbers.BYTES_PER_ELEMENT;
  const block = heap().take((m * k + k * n + m * n) * bytes);
  const at = (offset: number, length: number): Float32Array | Float64Array =>
    new Numbers(heap().memory.buffer, block.start + offset * bytes, length);
  const [a, b, out] = [at(0, m * k), at(m * k, k * n), at(m * k + k * n, m * n)];
  try {
    for (let way = 0; way < 8; way++) {
      const [transA, transB, accumulate] = [(way & 1) > 0, (way & 2) > 0, (way & 4) > 0];
      a.forEach((_, i) => (a[i] = i === 0 ? 0 : 2 * i - 5));
      b.forEach((_, i) => (b[i] = i === 0 ? NaN : 3 - i));
      out.fill(accumulate ? 7 : NaN);
      multiply(dtype, a.byteOffset, b.byteOffset, out.byteOffset, { m, n, k }, { transA, transB, accumulate });
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let wanted = accumulate ? 7 : 0;
          for (let p = 0; p < k; p++) wanted += a[transA ? p * m + i : i * k + p]! * b[transB ? j * k + p : p * n + j]!;
          const found = out[i * n + j]!;
          if (!Object.is(found, wanted) && found !== wanted)
            throw refuse(
              `the ${dtype} products of ${file} are wrong: ${found} in place of ${wanted} in a product of ${m} x ${k} and ${k} x ${n}`,
            );
        }
    }
  } finally {
    heap().give(block);
  }
}

function textOf(library: LibraryHandle, symbol: string): string | null {
  return has(library, symbol) ? (library.func(symbol, 'const char *', [])() as string | null) : null;
}

function describe(library: LibraryHandle, file: string): string {
  const openblas = textOf(library, 'openblas_get_config');
  if (openblas !== null) {
    const core = textOf(library, 'openblas_get_corename');
    return `${openblas.split(' ').slice(0, 2).join(' ')}${core === null ? '' : ` (${core} kernels)`}`;
  }
  const blis = textOf(library, 'bli_info_get_version_str');
  if (blis !== null) return `BLIS ${blis}`;
  if (has(library, 'MKL_Set_Num_Threads')) return 'MKL';
  return /[^/\\]*$/u.exec(file)![0];
}

/**
 * The kernels that fit the processor, where an OpenBLAS that was made before the processor takes those of 2004 (Prescott), at a fifth of the speed; null where
 * there is nothing to choose.
 */
function fittingCore(library: LibraryHandle): string | null {
  if (process.platform !== 'linux' || process.env.OPENBLAS_CORETYPE !== undefined) return null;
  if (textOf(library, 'openblas_get_corename') !== 'Prescott') return null;
  const { readFileSync } = process.getBuiltinModule('node:fs');
  let flags: readonly string[];
  try {
    flags = (/^flags\s*:(.*)$/mu.exec(readFileSync('/proc/cpuinfo', 'latin1'))?.[1] ?? '').split(' ');
  } catch {
    return null;
  }
  return CORES.find(([flag]) => flags.includes(flag))?.[1] ?? null;
}

/** OpenBLAS's names of kernels, by what they need. */
const CORES = [
  ['avx512_bf16', 'Cooperlake'],
  ['avx512vl', 'SkylakeX'],
  ['avx2', 'Haswell'],
] as const;

/** Loads an OpenBLAS a second time where other kernels fit: it reads the setting once, from the environment. Where others hold the library it stays as it is. */
function loadFitting(koffi: Koffi, file: string): LibraryHandle {
  const library = load(koffi, file);
  const core = fittingCore(library);
  if (core === null) return library;
  process.env.OPENBLAS_CORETYPE = core;
  try {
    library.unload();
    return load(koffi, file);
  } finally {
    delete process.env.OPENBLAS_CORETYPE;
  }
}
