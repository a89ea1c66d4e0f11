import { FormatError } from '../../errors.js';
import { isPlainObject } from '../../tensor/arguments.js';
import { fromTypedArray } from '../../tensor/create.js';
import { Tensor } from '../../tensor/tensor.js';

/** Streams as tensors: three lists of int32, and a check sum over all of them that tells parts of different streams, cut and changed ones. */

export type SavedStream = Record<'sizes' | 'settled' | 'state', Tensor>;

export interface StreamSizes {
  readonly classes: number;
  readonly width: number;
  readonly blank: number;
  readonly horizon: number;
  readonly frames: number;
  readonly taken: number;
}

/** The first number of a saved stream: changed when what follows means something else. */
const VERSION = 1;
/** Numbers in `sizes`, the check sum included. Counts that may pass 2^32 in an endless stream take two. */
const SIZES = 10;

const HIGH = 2 ** 32;
const halves = (count: number): number[] => [count | 0, Math.floor(count / HIGH)];
const whole = (low: number, high: number): number => high * HIGH + (low >>> 0);

/** FNV-1a by words, of the lists and their lengths: a change of any one word changes it. */
function checkSum(lists: readonly (readonly number[] | Int32Array)[]): number {
  let sum = 0x811c9dc5;
  const add = (word: number): number => (sum = Math.imul(sum ^ word, 0x01000193));
  for (const list of lists) {
    add(list.length);
    for (const word of list) add(word);
  }
  return sum | 0;
}

export function writeStream(
  op: string,
  { classes, width, blank, horizon, frames, taken }: StreamSizes,
  settled: readonly number[],
  state: Int32Array,
): SavedStream {
  const int32 = (values: Int32Array): Tensor => fromTypedArray(values, [values.length], 'int32', op);
  const sizes = [VERSION, classes, width, blank, horizon, ...halves(frames), ...halves(taken)];
  return {
    sizes: int32(Int32Array.of(...sizes, checkSum([sizes, settled, state]))),
    settled: int32(Int32Array.from(settled)),
    state: int32(state),
  };
}

/** What a saved stream holds; `refuse` says that its state is none after all. @throws {FormatError} */
export function readStream(
  op: string,
  saved: Readonly<Record<string, unknown>>,
): { sizes: StreamSizes; settled: number[]; state: Int32Array; refuse: () => FormatError } {
  const refuse = (): FormatError =>
    new FormatError(op, 'this is no stream as BeamStream.save gives it: its parts do not fit one another');
  const [sizes, settled, state] = ['sizes', 'settled', 'state'].map((name) => {
    const part = isPlainObject(saved) ? saved[name] : undefined;
    if (!(part instanceof Tensor) || part.dtype !== 'int32' || part.rank !== 1)
      throw new FormatError(op, `a saved stream has three int32 lists, sizes, settled and state; ${name} is none`);
    return part.dataSync() as Int32Array;
  }) as [Int32Array, Int32Array, Int32Array];
  if (sizes.length > 0 && sizes[0] !== VERSION)
    throw new FormatError(op, `the stream was saved in version ${sizes[0]} of its format; this is ${VERSION}`);
  if (sizes.length !== SIZES) throw refuse();
  const numbers = sizes.subarray(0, SIZES - 1);
  if (checkSum([numbers, settled, state]) !== sizes[SIZES - 1]) throw refuse();
  const [, classes, width, blank, horizon, ...counts] = numbers as unknown as number[];
  const [frames, taken] = [whole(counts[0]!, counts[1]!), whole(counts[2]!, counts[3]!)];
  if (
    !isSize(classes!, width!, blank!, horizon!) ||
    settled.some((label) => label < 0 || label >= classes! || label === blank)
  )
    throw refuse();
  return {
    sizes: { classes: classes!, width: width!, blank: blank!, horizon: horizon!, frames, taken },
    settled: [...settled],
    state,
    refuse,
  };
}

const isSize = (classes: number, width: number, blank: number, horizon: number): boolean =>
  horizon >= 0 && classes >= 1 && width >= 1 && width <= 2 ** 20 && blank >= 0 && blank < classes;
