import { parseArgs } from 'node:util';

export const USAGE = `Trains a recogniser of handwritten digit lines with CTC.

  npm start -- [options]

  --quick         a short run: about a minute on two cores
  --steps N       training steps (default 4000; with --quick 900)
  --seed N        seed of everything random (default 1)
  --out DIR       where checkpoint and pictures go (default out/digits)
  --resume FILE   go on from a checkpoint; its seed and steps stay as they were
  --help          this text

Ctrl-C saves a checkpoint and stops.
`;

const FULL_STEPS = 4000;
const QUICK_STEPS = 900;

/** A mistake in the command line, to be shown without a stack trace. */
export class UsageError extends Error {}

/**
 * @param {string[]} args
 * @returns {{ help: boolean, steps: number, seed: number, out: string | null, resume: string | null }}
 */
export function readOptions(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        quick: { type: 'boolean', default: false },
        steps: { type: 'string' },
        seed: { type: 'string' },
        out: { type: 'string' },
        resume: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new UsageError(`${error.message}\n\n${USAGE}`);
  }
  if (values.resume !== undefined && (values.seed !== undefined || values.steps !== undefined || values.quick)) {
    throw new UsageError(
      '--resume goes on with the seed and steps of its checkpoint; --seed, --steps and --quick do not go with it',
    );
  }
  return {
    help: values.help,
    steps: wholeNumber('--steps', values.steps ?? (values.quick ? QUICK_STEPS : FULL_STEPS), 1, 1_000_000),
    seed: wholeNumber('--seed', values.seed ?? 1, 0, 2 ** 32 - 1),
    out: values.out ?? null,
    resume: values.resume ?? null,
  };
}

function wholeNumber(name, text, least, most) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most)
    throw new UsageError(`${name} is ${text}; it must be a whole number from ${least} to ${most}`);
  return value;
}
