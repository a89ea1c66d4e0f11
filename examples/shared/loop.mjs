import { rename, writeFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';

/** A crash while writing leaves the previous file whole. */
export async function writeWhole(file, bytes) {
  await writeFile(`${file}.part`, bytes);
  await rename(`${file}.part`, file);
}

/**
 * Makes steps to the end of the run, or until a signal; says which of the two it was.
 *
 * @param {import('./run.mjs').Run} run
 * @param {object} hooks
 * @param {() => Promise<unknown>} hooks.step makes one.
 * @param {() => Promise<unknown>} hooks.evaluate after every `interval` steps, and after the last one.
 * @param {() => unknown} hooks.show after each step.
 * @param {number} hooks.interval
 * @param {readonly string[]} [hooks.signals]
 * @param {(isAsked: boolean) => Promise<boolean>} [hooks.agree] whether to stop, where processes decide together.
 * @returns {Promise<boolean>} whether the end was reached.
 */
export async function trainUntilSignal(run, { step, evaluate, show, interval, signals = ['SIGINT'], agree }) {
  let isAsked = false;
  let isStopped = false;
  const stop = () => {
    isAsked = true;
  };
  for (const signal of signals) process.once(signal, stop); // a second one ends the program at once, as usual
  while (run.step < run.steps && !isStopped) {
    await step();
    if (run.step % interval === 0 || run.step === run.steps) await evaluate();
    show();
    await setImmediate(); // lets signals and the terminal in
    isStopped = agree ? await agree(isAsked) : isAsked;
  }
  for (const signal of signals) process.off(signal, stop);
  return run.step === run.steps;
}
