import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../built.js';

export interface Result {
  code: number | null;
  out: string;
  error: string;
}

/** The folder of an example. */
export const exampleFolder = (name: string): string => join(ROOT, 'examples', name);

/** Runs an example as a user does; `whileRunning` may send it signals. */
export function runExample(
  folder: string,
  args: readonly string[],
  whileRunning?: (child: ReturnType<typeof spawn>) => void,
): Promise<Result> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [join(folder, 'train.mjs'), ...args], { cwd: ROOT });
    let [out, error] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()));
    child.on('close', (code) => {
      done({ code, out, error });
    });
    whileRunning?.(child);
  });
}

/** Evaluates a module's text beside the example's files and gives what it prints, as JSON. */
export function evaluate(folder: string, code: string): Promise<unknown> {
  return new Promise((done, fail) => {
    execFile(process.execPath, ['--input-type=module', '-e', code], { cwd: folder }, (failure, out) => {
      if (failure) fail(new Error(failure.message));
      else done(JSON.parse(out));
    });
  });
}
