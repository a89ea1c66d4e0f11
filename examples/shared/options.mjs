import { parseArgs } from 'node:util';

/** A mistake in the command line, to be shown without a stack trace. */
export class UsageError extends Error {}

/**
 * The options of a command line.
 *
 * @param {string[]} args
 * @param {import('node:util').ParseArgsConfig['options']} options
 * @param {string} usage shown below what is wrong.
 * @param {{ files?: boolean }} [more] `files`: whether file names may stand between the options; they come as `files`.
 * @throws {UsageError} for an option that there is not.
 */
export function parseOptions(args, options, usage, { files = false } = {}) {
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: files });
    return files ? { ...values, files: positionals } : values;
  } catch (error) {
    throw new UsageError(`${error.message}\n\n${usage}`);
  }
}

/** @throws {UsageError} for anything else. */
export function wholeNumber(name, text, least, most) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most)
    throw new UsageError(`${name} is ${text}; it must be a whole number from ${least} to ${most}`);
  return value;
}
