import { parseOptions, UsageError, wholeNumber } from '../shared/options.mjs';

export const USAGE = `Trains a recogniser of English speech with CTC, on Debian's telephone prompts.

  npm run speech -- [options]

  --quick         a short run: about two minutes on two cores
  --epochs N      how often the recordings are gone through (default 40; with --quick 15)
  --steps N       training steps, in the place of epochs
  --seed N        seed of everything random (default 1)
  --data DIR      another folder with recordings and their transcript, core-sounds-en.txt: lines 'name: text' for name.wav
  --out DIR       where checkpoint, pictures and subtitles go (default out/speech)
  --resume FILE   go on from a checkpoint; its seed and steps stay as they were
  --blas          let the system's BLAS library compute matrix products
  --help          this text

Ctrl-C saves a checkpoint and stops.
`;

const FULL_EPOCHS = 40;
const QUICK_EPOCHS = 15;

/**
 * @param {string[]} args
 * @returns {{ help: boolean, blas: boolean, epochs: number, steps: number | null, seed: number, data: string | null, out: string | null, resume: string | null }}
 */
export function readOptions(args) {
  const values = parseOptions(
    args,
    {
      quick: { type: 'boolean', default: false },
      epochs: { type: 'string' },
      steps: { type: 'string' },
      seed: { type: 'string' },
      data: { type: 'string' },
      out: { type: 'string' },
      resume: { type: 'string' },
      blas: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
    USAGE,
  );
  const { resume, quick, epochs, steps, seed } = values;
  if (resume !== undefined && (quick || [epochs, steps, seed].some((value) => value !== undefined)))
    throw new UsageError(
      '--resume goes on with the seed and steps of its checkpoint; --seed, --steps, --epochs and --quick do not go with it',
    );
  if (steps !== undefined && epochs !== undefined)
    throw new UsageError('--steps and --epochs: one of them says how long');
  return {
    help: values.help,
    blas: values.blas,
    epochs: wholeNumber('--epochs', epochs ?? (quick ? QUICK_EPOCHS : FULL_EPOCHS), 1, 10_000),
    steps: steps === undefined ? null : wholeNumber('--steps', steps, 1, 1_000_000),
    seed: wholeNumber('--seed', seed ?? 1, 0, 2 ** 32 - 1),
    data: values.data ?? null,
    out: values.out ?? null,
    resume: resume ?? null,
  };
}
