import { FormatError } from '../../errors.js';
import { isPlainObject } from '../../tensor/arguments.js';
import { fromTypedArray } from '../../tensor/create.js';
import { Tensor } from '../../tensor/tensor.js';

/** Streams as tensors: three lists of int32, and a check sum over all of them that tells parts of different streams, cut and changed ones. */

/** What `BeamStream.save` gives: tensors for `saveSafetensors`. */
export type SavedStream = Record<'sizes' | 'settled' | 'state', Tensor>;

export interface StreamSizes {
  readonly classes: number;
  readonly width: number;
  readonly blank: number;
  readonly horizon: number;
  readonly topClasses: number;
  readonly drop: number;
  readonly blankPenalty: number;
  /** The steering's state after the labels that have been taken, null without a steering. */
  readonly start: number | null;
  readonly frames: number;
  readonly taken: number;
}

/** The first number of a saved stream: changed when what follows means something else. */
const VERSION = 1;
/** Numbers in `sizes`, the check sum included. Counts that may pass 2^32 in an endless stream take two. */
const SIZES = 18;

const HIGH = 2 ** 32;
const halves = (count: number): number[] => [count | 0, Math.floor(count / HIGH)];
const whole = (low: number, high: number): number => high * HIGH + (low >>> 0);

const bits = (value: number): number[] => [...new Int32Array(Float64Array.of(value).buffer)];
const float = (low: number, high: number): number => new Float64Array(Int32Array.of(low, high).buffer)[0]!;

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
  { classes, width, blank, horizon, topClasses, drop, blankPenalty, start, frames, taken }: StreamSizes,
  settled: readonly number[],
  state: Int32Array,
): SavedStream {
  const int32 = (values: Int32Array): Tensor => fromTypedArray(values, [values.length], 'int32', op);
  const floats = [drop, blankPenalty, start ?? 0].flatMap(bits);
  const counts = [...halves(frames), ...halves(taken)];
  const sizes = [VERSION, classes, width, blank, horizon, topClasses, start === null ? 0 : 1, ...floats, ...counts];
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
  const [, classes, width, blank, horizon, topClasses, steered, ...pairs] = numbers as unknown as number[];
  const [drop, blankPenalty, start] = [0, 2, 4].map((i) => float(pairs[i]!, pairs[i + 1]!)) as [number, number, number];
  const [frames, taken] = [whole(pairs[6]!, pairs[7]!), whole(pairs[8]!, pairs[9]!)];
  if (
    !isSize(classes!, width!, blank!, horizon!) ||
    !(topClasses! >= 1 && drop >= 0 && Number.isFinite(blankPenalty) && !Number.isNaN(start)) ||
    settled.some((label) => label < 0 || label >= classes! || label === blank)
  )
    throw refuse();
  return {
    sizes: {
      classes: classes!,
      width: width!,
      blank: blank!,
      horizon: horizon!,
      topClasses: topClasses!,
      drop,
      blankPenalty,
      start: steered === 1 ? start : null,
      frames,
      taken,
    },
    settled: [...settled],
    state,
    refuse,
  };
}

const isSize = (classes: number, width: number, blank: number, horizon: number): boolean =>
  horizon >= 0 && classes >= 1 && width >= 1 && width <= 2 ** 20 && blank >= 0 && blank < classes;
