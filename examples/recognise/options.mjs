import { dirname } from 'node:path';
import { parseOptions, UsageError, wholeNumber } from '../shared/options.mjs';

export const USAGE = `npm run recognise: learns to read your own lines of text (PNG) or to hear your own recordings (WAV), with CTC.

  npm run recognise -- train --data FOLDER [--test FOLDER] [options]
  npm run recognise -- train --resume FILE [--data FOLDER] [--test FOLDER]
  npm run recognise -- read [--model FILE] FILE...
  npm run recognise -- test --data FOLDER [--model FILE]

A folder has labels.tsv, a line for each file: its name, a tab, its text. Or it has x.txt (or x.gt.txt) beside each x.png or x.wav.

  --data FOLDER    what to learn from; a tenth of the texts are held out, to see when to stop
  --test FOLDER    what to read afterwards
  --model FILE     the recogniser (default out/recognise/recogniser.safetensors)
  --out DIR        where the recogniser and the loss curve go (default out/recognise)
  --steps N        the most steps (default 2000)
  --patience N     evaluations without improvement after which training stops (default 8)
  --batch N        items a step, about (default 16)
  --seed N         seed of everything random (default 1)
  --resume FILE    go on from a checkpoint; its folder, seed, steps, patience and batch stay as they were
  --help           this text

Ctrl-C stops, and keeps the best recogniser so far and a checkpoint to go on from.
`;

const MODEL = 'out/recognise/recogniser.safetensors';
const COMMANDS = {
  train: ['data', 'test', 'out', 'resume', 'steps', 'patience', 'batch', 'seed'],
  read: ['model'],
  test: ['data', 'model'],
};

/**
 * @param {string[]} args
 * @returns {{ command: 'help' | 'train' | 'read' | 'test', files: string[], data?: string, test: string | null, model: string, out: string,
 *   resume: string | null, steps: number, patience: number, batch: number, seed: number }}
 */
export function readOptions(args) {
  const [command, ...rest] = args;
  if (command === undefined || command === '--help' || command === 'help') return { command: 'help' };
  if (!Object.hasOwn(COMMANDS, command))
    throw new UsageError(`there is no command '${command}'; there are ${Object.keys(COMMANDS).join(', ')}\n\n${USAGE}`);
  const names = COMMANDS[command];
  const { files, ...values } = parseOptions(
    rest,
    {
      ...Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
      help: { type: 'boolean', default: false },
    },
    USAGE,
    { files: command === 'read' },
  );
  if (values.help) return { command: 'help' };
  const { resume } = values;
  if (
    resume !== undefined &&
    [values.steps, values.patience, values.batch, values.seed].some((value) => value !== undefined)
  )
    throw new UsageError(
      'train: --resume goes on with what its checkpoint says; --seed, --steps, --patience and --batch do not go with it',
    );
  if (names.includes('data') && values.data === undefined && resume === undefined)
    throw new UsageError(`${command}: --data FOLDER says where the files are\n\n${USAGE}`);
  if (command === 'read' && files.length === 0) throw new UsageError(`read: which files?\n\n${USAGE}`);
  return {
    command,
    files,
    data: values.data,
    test: values.test ?? null,
    model: values.model ?? MODEL,
    out: values.out ?? (resume === undefined ? 'out/recognise' : dirname(resume)),
    resume: resume ?? null,
    steps: wholeNumber('--steps', values.steps ?? 2000, 1, 1_000_000),
    patience: wholeNumber('--patience', values.patience ?? 8, 1, 1_000_000),
    batch: wholeNumber('--batch', values.batch ?? 16, 1, 4096),
    seed: wholeNumber('--seed', values.seed ?? 1, 0, 2 ** 32 - 1),
  };
}
