import { parseOptions, UsageError, wholeNumber } from '../shared/options.mjs';

export const USAGE = `Trains a recogniser of handwritten digit lines with CTC.

  npm start -- [options]

  --quick         a short run: about a minute on two cores
  --steps N       training steps (default 4000; with --quick 900)
  --seed N        seed of everything random (default 1)
  --batch N       lines a step (default 16)
  --out DIR       where checkpoint and pictures go (default out/digits)
  --resume FILE   go on from a checkpoint; its seed, steps and batch stay as they were
  --distributed   share every batch out to the processes that mpirun or srun started
  --blas          let the system's BLAS library compute matrix products
  --check-digit   also read lines of which the sum of the digits is known
  --help          this text

Ctrl-C saves a checkpoint and stops. On several processes, SIGINT or SIGTERM to one of them does.
`;

const FULL_STEPS = 4000;
const QUICK_STEPS = 900;

/**
 * @param {string[]} args
 * @returns {{ help: boolean, blas: boolean, checkDigit: boolean, distributed: boolean, steps: number, seed: number, batch: number, out: string | null, resume: string | null }}
 */
export function readOptions(args) {
  const values = parseOptions(
    args,
    {
      quick: { type: 'boolean', default: false },
      steps: { type: 'string' },
      seed: { type: 'string' },
      batch: { type: 'string' },
      out: { type: 'string' },
      resume: { type: 'string' },
      distributed: { type: 'boolean', default: false },
      blas: { type: 'boolean', default: false },
      'check-digit': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    USAGE,
  );
  const { resume, quick, seed, steps, batch } = values;
  if (resume !== undefined && (quick || [seed, steps, batch].some((value) => value !== undefined))) {
    throw new UsageError(
      '--resume goes on with the seed, steps and batch of its checkpoint; --seed, --steps, --batch and --quick do not go with it',
    );
  }
  return {
    help: values.help,
    blas: values.blas,
    checkDigit: values['check-digit'],
    distributed: values.distributed,
    steps: wholeNumber('--steps', steps ?? (quick ? QUICK_STEPS : FULL_STEPS), 1, 1_000_000),
    seed: wholeNumber('--seed', seed ?? 1, 0, 2 ** 32 - 1),
    batch: wholeNumber('--batch', batch ?? 16, 1, 4096),
    out: values.out ?? null,
    resume: resume ?? null,
  };
}
