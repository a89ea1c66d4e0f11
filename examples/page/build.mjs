import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { readClasses } from '../digits/digits.mjs';
import { packDigits } from './bytes.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/**
 * Builds the page into a folder that any server of files can serve.
 *
 * @param {{ out: string, checkpoint: string | null }} options `checkpoint`: a file that `npm start` has made, or null for a page that has to be trained.
 * @returns {Promise<{ name: string, bytes: number }[]>} what was written
 */
export async function buildPage({ out, checkpoint }) {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const name = checkpoint === null ? null : 'checkpoint.safetensors';
  const { metafile } = await build({
    entryPoints: ['page', 'worker'].map((entry) => join(HERE, `${entry}.mjs`)),
    outdir: resolve(out),
    bundle: true,
    minify: true,
    // What both use is one file, and WebGPU is loaded by those who choose it.
    splitting: true,
    format: 'esm',
    platform: 'browser',
    tsconfigRaw: '{}', // the package's own entry for browsers, not what a tsconfig above says
    target: 'es2022',
    chunkNames: 'part-[hash]',
    define: { CHECKPOINT: JSON.stringify(name) },
    metafile: true,
    absWorkingDir: HERE,
    logLevel: 'warning',
  });
  for (const file of ['index.html', 'style.css']) await copyFile(join(HERE, file), join(out, file));
  if (name !== null) await copyFile(checkpoint, join(out, name));
  await writeFile(join(out, 'digits.bin'), gzipSync(packDigits(readClasses())));
  const bundled = Object.entries(metafile.outputs).map(([path, { bytes }]) => ({
    name: path.split('/').at(-1),
    bytes,
  }));
  const copied = ['index.html', 'style.css', 'digits.bin', ...(name === null ? [] : [name])];
  return [
    ...bundled,
    ...(await Promise.all(
      copied.map(async (file) => ({ name: file, bytes: (await readFile(join(out, file))).length })),
    )),
  ];
}
