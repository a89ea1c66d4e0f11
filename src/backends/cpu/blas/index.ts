import { BlasError, ValueError } from '../../../errors.js';
import { canShare } from '../heap.js';
import { followThreads, threads } from '../pool.js';
import { setOutsideProduct } from '../product.js';
import { type OpenedBlas, openBlas } from './library.js';
import { BLAS_NAMES, candidates } from './names.js';

export { findBlas } from './names.js';

/** A BLAS library in use. */
export interface BlasLibrary {
  /** The file, as it was given to the system's loader. */
  readonly file: string;
  /** What the library says of itself, such as 'OpenBLAS 0.3.21 (Haswell kernels)'. */
  readonly description: string;
}

const opened = new Map<string, OpenedBlas>();
let current: OpenedBlas | null = null;

/** The library that computes matrix products; null where tapegrad's own kernels do. */
export const blas = (): BlasLibrary | null => current && { file: current.file, description: current.description };

/**
 * Lets a BLAS library compute the matrix products of float32 and float64 on the CPU, and with them convolutions and linear and recurrent layers. It reads
 * and writes tensors where they lie. Small products stay with tapegrad's own kernels, which are quicker there.
 *
 * The bits of results then depend on the library and the processor, and may depend on the number of threads; it uses as many as `setThreads` says. Needs
 * Node and the optional package koffi.
 *
 * ```ts
 * const { description } = await useBlas(); // whichever the system has
 * await useBlas('openblas'); // or 'mkl', 'blis', 'accelerate', or a path
 * await useBlas(null); // tapegrad's own kernels again
 * ```
 *
 * @param library a name, a path, or null for none; when left out, the system's: Accelerate on macOS, else the first of OpenBLAS, MKL and BLIS.
 * @throws {BlasError} koffi or the library is missing, or the library lacks symbols, counts in 64-bit integers, or multiplies wrongly; what was in use before
 * stays in use. @throws {ValueError} the library is neither a name nor a path.
 */
export async function useBlas(library: null): Promise<null>;
export async function useBlas(library?: string): Promise<BlasLibrary>;
export async function useBlas(library?: string | null): Promise<BlasLibrary | null> {
  if (library === null) {
    current = null;
    setOutsideProduct(null);
    return null;
  }
  const given: unknown = library;
  const files =
    given === undefined || typeof given === 'string' ? candidates(given, globalThis.process?.platform ?? '') : null;
  if (!files)
    throw new ValueError(
      'useBlas',
      `library is ${typeof given === 'string' ? `'${given.slice(0, 40)}'` : typeof given}; it must be one of ${BLAS_NAMES.map((name) => `'${name}'`).join(', ')}, the path of a library, or null`,
    );
  if (!canShare) throw new BlasError('useBlas', 'this needs Node, with shared memory');
  const found = await open(files, library);
  current = found;
  followThreads(found.setThreads);
  found.setThreads(threads());
  setOutsideProduct(found.multiply);
  return blas()!;
}

/** The first of the files that is a BLAS library. Each is opened once. */
async function open(files: readonly string[], library: string | undefined): Promise<OpenedBlas> {
  const failures: string[] = [];
  const { importKoffi } = await import('../../koffi.js');
  const koffi = await importKoffi((problem) => new BlasError('useBlas', problem));
  for (const file of files) {
    try {
      const found = opened.get(file) ?? openBlas(koffi, file);
      opened.set(file, found);
      return found;
    } catch (error) {
      if (!(error instanceof BlasError)) throw error;
      if (files.length === 1) throw error;
      failures.push(error.message.replace(/^\[useBlas\] /u, ''));
    }
  }
  throw new BlasError(
    'useBlas',
    `${library === undefined ? 'no BLAS library was found' : `no ${library} was found`}; install one (Debian: libopenblas0), or name its file: useBlas('/path/to/libopenblas.so.0'). Tried: ${failures.join('; ')}`,
  );
}
