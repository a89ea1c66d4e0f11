import { type optim, random, TapegradError, Tensor, tensor, ValueError } from 'tapegrad';
import { isPlainObject } from '../src/tensor/arguments.js';
import { JUNK } from './arguments.junk.js';
import { type Row, ROWS } from './arguments.rows.js';

/** An option that is undefined counts as left out: the same result, for every option of every export. */

const x = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);

/** A call's arguments, with new sources of randomness: those of the rows have been drawn from. */
const rightOf = (row: Row): unknown[] => row.places.map(([value, kind]) => (kind === 'random' ? random(1) : value));

/** The names of a call's options, by what it says of an unknown one. */
async function optionsOf(row: Row, at: number): Promise<string[]> {
  const given = rightOf(row);
  given[at] = { ...(given[at] as object), '?': 1 };
  const refusal = await Promise.resolve()
    .then(() => row.call(...given))
    .catch((error: unknown) => error);
  const [, names] =
    /there is no option '\?'; there (?:is|are) (.*)$/.exec((refusal as Error | null)?.message ?? '') ?? [];
  return refusal instanceof ValueError && names !== undefined ? names.split(', ') : [];
}

/** What a call gives, as plain data: functions, layers and optimizers by what they do. */
async function outcome(name: string, value: unknown): Promise<unknown> {
  const given = await value;
  if (given instanceof Tensor) return [given.dtype, given.shape, [...(await given.data())]];
  if (typeof given === 'function')
    return outcome(name, (given as (...args: unknown[]) => unknown)(...argumentsOf(name)));
  if (Array.isArray(given)) return Promise.all(given.map((one) => outcome(name, one)));
  if (!isPlainObject(given)) return given;
  if ('start' in given && 'step' in given) return Object.keys(given); // a steering: its steps go on for ever
  if ('init' in given && 'apply' in given)
    return outcome(name, (given.init as (source: unknown) => unknown)(random(1)));
  if (name === 'optim.plateau') {
    const plateau = given as unknown as ReturnType<typeof optim.plateau>;
    return outcome('', plateau.update(plateau.init(), 1));
  }
  if (name === 'optim.ema') {
    const ema = given as unknown as ReturnType<typeof optim.ema>;
    return outcome('', ema.update(ema.init([x]), [x.mul(0.5)]));
  }
  if ('init' in given && 'update' in given) {
    const params = [x];
    const { init, update } = given as Record<'init' | 'update', (...args: unknown[]) => unknown>;
    return outcome(name, update(params, [x.mul(0.5)], init(params)));
  }
  return Object.fromEntries(
    await Promise.all(Object.entries(given).map(async ([key, one]) => [key, await outcome(name, one)])),
  ) as unknown;
}

/** What a function that a transform gives is called with. */
const argumentsOf = (name: string): unknown[] => {
  if (name === 'optim.oneCycle') return [3]; // a step
  return [name === 'hessian' || name === 'jacobian' ? x.mul(0.5) : x];
};

const PLACES = Object.entries(ROWS).flatMap(([name, row]) =>
  row.places.flatMap(([value], at): [string, Row, number][] =>
    isPlainObject(value) && !(value instanceof Tensor) ? [[name, row, at]] : [],
  ),
);
let walked = 0;

test.each(PLACES)('%s: options that are undefined', async (name, row, at) => {
  jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  const names = await optionsOf(row, at);
  const plain = names.length > 0 ? await outcome(name, row.call(...rightOf(row))) : null;
  for (const option of names) {
    const given = rightOf(row);
    if (option in (given[at] as object)) continue; // it must be given
    given[at] = { ...(given[at] as object), [option]: undefined };
    expect([option, await outcome(name, row.call(...given))]).toEqual([option, plain]);
    walked++;
  }
});

/** What no option should make a call die of. */
const STRANGE = ['null', 'symbol', 'bigint', 'bare', 'map', 'huge', 'NaN', 'a hole', 'round', 'deep', 'dead', 'class']
  .concat(['long list', 'long text', 'promise', 'elsewhere'])
  .map((name): [string, unknown] => [name, JUNK[name]]);

test.each(PLACES)('%s: options that are anything', async (_name, row, at) => {
  jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  const faults: string[] = [];
  for (const option of await optionsOf(row, at)) {
    for (const [strange, value] of STRANGE) {
      const given = rightOf(row);
      given[at] = { ...(given[at] as object), [option]: value };
      try {
        await row.call(...given);
      } catch (error) {
        if (!(error instanceof TapegradError)) faults.push(`${option}: ${strange} dies with ${String(error)}`);
        else if (error.message.length > 400) faults.push(`${option}: ${strange} says too much`);
      }
    }
  }
  expect(faults).toEqual([]);
});

test('and those are options of most exports', () => {
  expect(walked).toBeGreaterThan(200);
});
