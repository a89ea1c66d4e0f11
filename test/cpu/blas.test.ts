/** Matrix products by a BLAS library: the system's, where there is one, and bad ones that a compiler makes. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import koffi from 'koffi';
import {
  blas,
  BlasError,
  findBlas,
  grad,
  linear,
  matmul,
  memory,
  nn,
  random,
  resetPeakMemory,
  scope,
  setThreads,
  type Tensor,
  threads,
  useBlas,
  ValueError,
} from 'tapegrad';
import { checkBuilt } from '../built.js';
import { requirement } from '../requirements.js';
import { nodeArgs } from '../node.js';

const blasTests = requirement(
  'BLAS',
  'BLAS_REQUIRED',
  findBlas() === null ? 'there is no BLAS library on this machine (Debian: libopenblas0)' : undefined,
);
const compiler = ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0);
const compilerTests = requirement(
  'libraries that are no BLAS',
  'BLAS_REQUIRED',
  compiler === undefined ? 'there is no C compiler' : undefined,
);

const numbers = (t: Tensor): number[] => [...(t.dataSync() as Float32Array)];
const source = random(7);

/** The largest difference of two lists, relative to what the sums are made of. */
function difference(found: readonly number[], wanted: readonly number[]): number {
  expect(found.length).toBe(wanted.length);
  return found.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - wanted[i]!) / Math.max(1, Math.abs(wanted[i]!))),
    0,
  );
}

async function withAndWithout<T>(run: () => T): Promise<[outside: T, own: T]> {
  await useBlas();
  const outside = run();
  await useBlas(null);
  return [outside, run()];
}

/** Sizes of all sorts: single rows and columns, long and short inner axes, edges of tiles; the first are too small to leave. */
const SIZES = [
  [2, 3, 4],
  [1, 1, 9000],
  [1, 300, 40],
  [300, 1, 40],
  [21, 23, 29],
  [64, 64, 64],
  [3, 500, 7],
  [129, 65, 257],
] as const;

blasTests('products by the system’s BLAS', () => {
  beforeEach(() => useBlas());
  afterEach(() => useBlas(null));

  test('are near those of float64, which are exact enough to be the yardstick, all ways that derivatives take', async () => {
    for (const [m, n, k] of SIZES) {
      const [a, b, g] = [source.normal([m, k]), source.normal([k, n]), source.normal([m, n])];
      const run = (dtype: 'float32' | 'float64') => () => {
        const [x, y, z] = [a, b, g].map((t) => t.cast(dtype)) as [Tensor, Tensor, Tensor];
        const both = (p: Tensor, q: Tensor): Tensor => matmul(p, q).mul(z).sum();
        return [
          matmul(x, y),
          linear(x, y.transpose()),
          ...grad(both, { argnums: [0, 1] })(x, y),
          ...grad((p: Tensor, q: Tensor) => linear(p, q.transpose()).mul(z).sum(), { argnums: [0, 1] })(x, y),
        ].flatMap(numbers);
      };
      const [, exact] = await withAndWithout(run('float64'));
      const [double] = await withAndWithout(run('float64'));
      expect(difference(double, exact)).toBeLessThan(1e-12);
      const [single] = await withAndWithout(run('float32'));
      expect(difference(single, exact)).toBeLessThan(2e-6 * Math.sqrt(k) + 1e-6);
    }
  });

  test('of batches, shared operands, convolutions and sums of many products by one weight', async () => {
    const [a, b, shared] = [source.normal([5, 33, 40]), source.normal([5, 40, 50]), source.normal([40, 50])];
    const layer = nn.conv2d(3, 16, 3, { padding: 'same' });
    const [params, image] = [layer.init(source), source.normal([2, 20, 20, 3])];
    // More patches than are laid out at a time, of two images and of a sequence.
    const [tall, long] = [nn.conv2d(8, 12, 3, { padding: 'same' }), nn.conv1d(32, 24, 5, { padding: 'causal' })];
    const [pictures, sequence] = [source.normal([2, 70, 30, 8]), source.normal([1, 700, 32])];
    const [ofTall, ofLong] = [tall.init(source), long.init(source)];
    const [outside, own] = await withAndWithout(() =>
      [
        matmul(a, b),
        matmul(a, shared),
        ...grad((x: Tensor, y: Tensor) => matmul(x, y).tanh().sum(), { argnums: [0, 1] })(a, b),
        grad((w: Tensor) => [0, 1, 2, 3, 4].map((i) => matmul(a.slice(i), w).tanh().sum()).reduce((x, y) => x.add(y)))(
          shared,
        ),
        grad((p: typeof params) => layer.apply(p, image).square().sum())(params).weight,
        tall.apply(ofTall, pictures),
        long.apply(ofLong, sequence),
        ...grad(
          (w: Tensor, x: Tensor) =>
            tall
              .apply({ ...ofTall, weight: w }, x)
              .tanh()
              .sum(),
          { argnums: [0, 1] },
        )(ofTall.weight, pictures),
        ...grad(
          (w: Tensor, x: Tensor) =>
            long
              .apply({ ...ofLong, weight: w }, x)
              .tanh()
              .sum(),
          { argnums: [0, 1] },
        )(ofLong.weight, sequence),
      ].flatMap(numbers),
    );
    expect(difference(outside, own)).toBeLessThan(1e-4);
  });

  test.each(['lstm', 'gru'] as const)('of %s cells, frame by frame, forward and back', async (name) => {
    const layer = nn[name](9, 40, { bidirectional: true });
    const [params, x] = [layer.init(source), source.normal([6, 5, 9])];
    const initial = { hidden: source.normal([2, 6, 40]), cell: source.normal([2, 6, 40]) };
    const options = { lengths: [5, 0, 3, 5, 1, 2], initial };
    const [outside, own] = await withAndWithout(() => {
      const { output, state } = layer.run(params, x, options);
      const loss = (p: typeof params, input: Tensor): Tensor => {
        const result = layer.run(p, input, options);
        return result.output.square().sum().add(result.state.hidden.sum());
      };
      const [own, byInput] = grad(loss, { argnums: [0, 1] })(params, x);
      const { weightInput, weightHidden, biasInput, biasHidden } = own.backward!;
      return [
        ...[output, state.hidden, byInput],
        ...[own.forward.weightHidden, own.forward.biasHidden],
        ...[weightInput, weightHidden, biasInput, biasHidden],
      ].flatMap(numbers);
    });
    expect(difference(outside, own)).toBeLessThan(1e-4);
    expect(outside).not.toEqual(own);
  });

  test('too small ones, and those of integers, are tapegrad’s own, to the bit', async () => {
    const [a, b] = [source.normal([8, 8]), source.normal([8, 8])];
    const integers = source.integers([40, 40], -9, 9);
    const [outside, own] = await withAndWithout(() => [matmul(a, b), matmul(integers, integers)].map(numbers));
    expect(outside).toEqual(own);
  });

  test('are written where they belong: neither operands nor results are copied or packed', () => {
    scope(() => {
      const [a, b] = [source.normal([512, 512]).mul(1), source.normal([512, 512]).mul(1)];
      resetPeakMemory();
      const before = memory().peakBytes;
      matmul(a, b);
      expect(memory().peakBytes - before).toBe(4 * 512 * 512);
    });
  });

  test('an empty inner axis gives zeros, NaN and Infinity go through', () => {
    expect(numbers(matmul(source.normal([40, 0]), source.normal([0, 40])))).toEqual(new Array(1600).fill(0));
    const [a, b] = [source.normal([40, 40]), source.normal([40, 40])];
    const x = a.mul(0).add(a.greater(1e9));
    expect(numbers(matmul(x, b.div(0)))).toEqual(new Array(1600).fill(NaN));
  });

  test('use as many threads as setThreads says', async () => {
    const library = koffi.load(blas()!.file);
    let count: () => number;
    try {
      count = library.func('int openblas_get_num_threads()') as () => number;
    } catch {
      return; // another library, which does not tell
    }
    const before = threads();
    try {
      setThreads(2);
      expect(count()).toBe(2);
      setThreads(1);
      expect(count()).toBe(1);
      await useBlas();
      expect(count()).toBe(1);
    } finally {
      setThreads(before);
    }
  });

  test('are off and on again; blas() says which', async () => {
    expect(blas()!.description).toMatch(/\S/);
    const [a, b] = [source.normal([70, 70]), source.normal([70, 70])];
    const outside = numbers(matmul(a, b));
    expect(await useBlas(null)).toBeNull();
    expect(blas()).toBeNull();
    const own = numbers(matmul(a, b));
    const { file } = await useBlas();
    expect(numbers(matmul(a, b))).toEqual(outside);
    expect(difference(outside, own)).toBeLessThan(1e-5);
    expect(await useBlas(file)).toEqual(blas());
    expect((await useBlas(findBlas()!)).file).toBe(findBlas());
  });

  test('a library is loaded when it is asked for, and not before', () => {
    const program = `
      const { tensor, matmul, useBlas, random } = await import(${JSON.stringify(pathToFileURL(join(__dirname, '../../dist/index.js')).href)});
      const loaded = () => process.report.getReport().sharedObjects.some((path) => /koffi|blas|mkl|blis/.test(path));
      const a = random(1).normal([64, 64]);
      matmul(a, a);
      const before = loaded();
      await useBlas();
      console.log(JSON.stringify([before, loaded()]));`;
    checkBuilt();
    const child = spawnSync(process.execPath, nodeArgs('--input-type=module', '-e', program), { encoding: 'utf8' });
    expect(child.stderr).toBe('');
    expect(JSON.parse(child.stdout)).toEqual([false, true]);
  });

  test('what cannot be used is refused, and what was in use stays', async () => {
    const before = blas();
    await expect(useBlas('/nowhere/libopenblas.so.0')).rejects.toThrow(BlasError);
    await expect(useBlas('/nowhere/libopenblas.so.0')).rejects.toThrow(
      /^\[useBlas\] \/nowhere\/libopenblas\.so\.0 does not load: /,
    );
    expect(blas()).toEqual(before);
  });
});

describe('useBlas', () => {
  test.each([['fastest'], [''], [3], [true], [{}], [['openblas']]])('%j is no library', async (library) => {
    const refused = useBlas(library as string);
    await expect(refused).rejects.toThrow(ValueError);
    await expect(refused).rejects.toThrow(/^\[useBlas\] library is .*it must be one of 'accelerate', 'blis', 'mkl'/);
  });

  test('a name that nothing answers to says what was tried', async () => {
    if (process.platform === 'linux')
      await expect(useBlas('accelerate')).rejects.toThrow(/^\[useBlas\] no accelerate was found/);
    const refused = useBlas('mkl');
    await refused.then(
      () => useBlas(null),
      (error: unknown) => {
        expect(error).toBeInstanceOf(BlasError);
        expect(String(error)).toMatch(/no mkl was found; install one .*Tried: libmkl_rt.* does not load/);
      },
    );
  });
});

/** A whole CBLAS of few lines. INT is its integer, RESULT what each sum is stored as. */
const PROGRAM = `
#include <stdint.h>
#include <math.h>
#define PRODUCT(NAME, T) void NAME(INT order, INT ta, INT tb, INT m, INT n, INT k, T alpha, const T *a, INT lda, const T *b, INT ldb, T beta, T *c, INT ldc) { \\
  for (INT i = 0; i < m; i++) for (INT j = 0; j < n; j++) { T sum = 0; \\
    for (INT p = 0; p < k; p++) { T x = a[ta == 112 ? p * lda + i : i * lda + p], y = b[tb == 112 ? j * ldb + p : p * ldb + j]; if (!SKIPS || x != 0) sum += x * y; } \\
    c[i * ldc + j] = alpha * sum + (beta == 0 && !READS ? 0 : beta * c[i * ldc + j]); } }
PRODUCT(cblas_sgemm, float)
#ifndef HALF
PRODUCT(cblas_dgemm, double)
INT cblas_isamax(INT n, const float *x, INT step) { INT best = 0; if (n < 1) return 0; for (INT i = 1; i < n; i++) if (fabsf(x[i * step]) > fabsf(x[best * step])) best = i; return best; }
#endif
`;

compilerTests('a library that is none, or another one', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tapegrad-blas-'));
  const compile = (name: string, text: string, ...flags: string[]): string => {
    const [from, to] = [join(folder, `${name}.c`), join(folder, `lib${name}.so`)];
    writeFileSync(from, text);
    execFileSync(compiler!, ['-shared', '-fPIC', '-O1', ...flags, from, '-o', to, '-lm']);
    return to;
  };
  const flags = (int: string, more: readonly string[] = []): string[] => [
    `-DINT=${int}`,
    ...['READS', 'SKIPS'].map((name) => `-D${name}=${Number(more.includes(name))}`),
    ...more.filter((name) => name === 'HALF').map((name) => `-D${name}`),
  ];
  afterEach(() => useBlas(null));

  test('with 32-bit integers it is taken', async () => {
    const file = compile('good', PROGRAM, ...flags('int'));
    expect(await useBlas(file)).toEqual({ file, description: 'libgood.so' });
    const [a, b] = [source.normal([40, 30]), source.normal([30, 20])];
    const outside = numbers(matmul(a, b));
    await useBlas(null);
    expect(difference(outside, numbers(matmul(a, b)))).toBeLessThan(1e-5);
  });

  test.each([
    ['with 64-bit integers', 'wide', PROGRAM, flags('int64_t'), /counts in 64-bit integers \(an ILP64 build\)/],
    [
      'with 64-bit integers and names that say so',
      'suffixed',
      'void cblas_sgemm64_(void) {}',
      [],
      /counts in 64-bit integers/,
    ],
    ['without dgemm', 'half', PROGRAM, flags('int', ['HALF']), /has no cblas_dgemm: it is no complete BLAS library/],
    ['that has nothing of BLAS', 'other', 'int answer(void) { return 42; }', [], /has no cblas_sgemm: it is no BLAS/],
    [
      'that reads old results',
      'reading',
      PROGRAM,
      flags('int', ['READS']),
      /the float32 products of .* are wrong: NaN in place of/,
    ],
    [
      'that loses NaN where it meets 0',
      'skipping',
      PROGRAM,
      flags('int', ['SKIPS']),
      /the float32 products of .* are wrong: .* in place of NaN/,
    ],
  ])('%s it is refused', async (_, name, text, how, message) => {
    const file = compile(name, text, ...how);
    await expect(useBlas(file)).rejects.toThrow(BlasError);
    await expect(useBlas(file)).rejects.toThrow(message);
    expect(blas()).toBeNull();
  });
});
