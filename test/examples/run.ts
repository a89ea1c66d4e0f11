import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../built.js';
import { nodeArgs } from '../node.js';

export interface Result {
  code: number | null;
  out: string;
  error: string;
}

/** The folder of an example. */
export const exampleFolder = (name: string): string => join(ROOT, 'examples', name);

/** A process that is sent a signal when it has written a file, and what it takes to run it: flags of Node and variables. */
export const signalled = (
  file: string,
  signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL' = 'SIGINT',
  when: 'after' | 'within the second time' = 'after',
): { flags: string[]; env: Record<string, string> } => ({
  flags: ['--import', pathToFileURL(join(__dirname, 'signal-at.mjs')).href],
  env: { SIGNAL: signal, SIGNAL_AT: file, ...(when === 'after' ? {} : { SIGNAL_WITHIN: '1' }) },
});

/** Runs an example as a user does. @param interruptedAt it gets Ctrl-C when it has written this file */
export function runExample(folder: string, args: readonly string[], interruptedAt?: string): Promise<Result> {
  const { flags, env } = interruptedAt === undefined ? { flags: [], env: {} } : signalled(interruptedAt);
  return new Promise((done) => {
    const child = spawn(process.execPath, nodeArgs(...flags, join(folder, 'train.mjs'), ...args), {
      cwd: ROOT,
      env: { ...process.env, ...env },
    });
    let [out, error] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (error += chunk.toString()));
    child.on('close', (code) => {
      done({ code, out, error });
    });
  });
}

/** Evaluates a module's text beside the example's files and gives what it prints, as JSON. */
export function evaluate(folder: string, code: string): Promise<unknown> {
  return new Promise((done, fail) => {
    execFile(process.execPath, nodeArgs('--input-type=module', '-e', code), { cwd: folder }, (failure, out) => {
      if (failure) fail(new Error(failure.message));
      else done(JSON.parse(out));
    });
  });
}
