/** Where BLAS libraries are found. */

const NAMES = ['accelerate', 'blis', 'mkl', 'openblas'] as const;
type BlasName = (typeof NAMES)[number];

const isName = (text: string): text is BlasName => (NAMES as readonly string[]).includes(text);

/** The files of each, the likeliest first. */
const FILES: Readonly<Partial<Record<string, Partial<Record<BlasName, readonly string[]>>>>> = {
  darwin: {
    accelerate: ['/System/Library/Frameworks/Accelerate.framework/Accelerate'],
    openblas: ['libopenblas.0.dylib', 'libopenblas.dylib', '/opt/homebrew/opt/openblas/lib/libopenblas.dylib'],
    blis: ['libblis.4.dylib', 'libblis.dylib', '/opt/homebrew/opt/blis/lib/libblis.dylib'],
    mkl: ['libmkl_rt.2.dylib', 'libmkl_rt.dylib'],
  },
  win32: {
    openblas: ['libopenblas.dll', 'openblas.dll'],
    mkl: ['mkl_rt.2.dll', 'mkl_rt.1.dll', 'mkl_rt.dll'],
    blis: ['libblis.dll', 'libblis.4.dll'],
  },
  linux: {
    openblas: ['libopenblas.so.0', 'libopenblas.so'],
    mkl: ['libmkl_rt.so.2', 'libmkl_rt.so.1', 'libmkl_rt.so'],
    blis: ['libblis.so.4', 'libblis.so.3', 'libblis.so'],
  },
};

const filesOf = (platform: string): Partial<Record<BlasName, readonly string[]>> => FILES[platform] ?? FILES.linux!;

/** The names that useBlas() takes. */
export const BLAS_NAMES: readonly string[] = NAMES;

/** The files to try for a name or for whatever there is; a path stands for itself. null for what is neither. */
export function candidates(library: string | undefined, platform: string): readonly string[] | null {
  const files = filesOf(platform);
  if (library === undefined) return Object.values(files).flat();
  if (isName(library)) return files[library] ?? [];
  return /[/\\.]/u.test(library) ? [library] : null;
}

const TRIPLETS: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/**
 * The file of a BLAS library that `useBlas()` would find, or null. It only looks for files where systems keep them, and loads nothing; it may miss one
 * that the loader knows of.
 */
export function findBlas(): string | null {
  if (typeof process === 'undefined') return null;
  const { existsSync } = process.getBuiltinModule('node:fs');
  if (process.platform === 'darwin') return FILES.darwin!.accelerate![0]!; // part of the system, and no file since macOS 11
  const triplet = TRIPLETS[process.arch];
  const folders = [
    ...(process.env.LD_LIBRARY_PATH ?? '').split(':').filter(Boolean),
    ...(triplet ? [`/usr/lib/${triplet}`] : []),
    ...['/usr/local/lib', '/usr/lib64', '/usr/lib'],
  ];
  for (const file of candidates(undefined, process.platform)!)
    for (const folder of folders) if (existsSync(`${folder}/${file}`)) return `${folder}/${file}`;
  return null;
}
