import type { Buffer } from '../backends/backend.js';
import { ValueError } from '../errors.js';
import { describe } from '../tensor/arguments.js';
import { currentRegion } from '../tensor/device.js';
import { isStorage } from '../tensor/dtype.js';
import type { Tensor } from '../tensor/tensor.js';

/** What an update may be given to keep. */
const DONATIONS = ['params', 'gradients', 'state'] as const;

const GRADIENTS = DONATIONS.indexOf('gradients');

/** What an update may take for its results: all of it, nothing, or parts by name. */
export type Donation = boolean | readonly (typeof DONATIONS)[number][];

/** Reads the option. @throws {ValueError} */
function readDonation(op: string, given: unknown): ReadonlySet<string> {
  if (given === undefined || given === false) return new Set();
  if (given === true) return new Set(['params', 'state']);
  const allowed = DONATIONS.map((known) => `'${known}'`).join(', ');
  if (!Array.isArray(given))
    throw new ValueError(op, `donate is ${describe(given)}; it must be true, false or a list of ${allowed}`);
  const names: readonly unknown[] = Array.from(given);
  names.forEach((name, i) => {
    if (!DONATIONS.some((known) => known === name))
      throw new ValueError(op, `donate[${i}] is ${describe(name)}; it must be one of ${allowed}`);
  });
  return new Set(names as string[]);
}

/**
 * The tensors that an update is given to keep, so that it writes its results over them. They change nowhere else: memory that two of an update's tensors
 * share is not written to, and what passes through as it is stays.
 */
export class Donated {
  private readonly names: ReadonlySet<string>;
  /** How many of the update's tensors lie in a buffer. */
  private readonly uses = new Map<Buffer, number>();

  /**
   * @param lists the parameters, the gradients, and each tree of the state. Within a transform's function nothing is donated: a backward pass may
   *   want all of it.
   * @throws {ValueError} for an option that is neither a boolean nor a list of names.
   */
  constructor(
    private readonly op: string,
    option: unknown,
    private readonly lists: readonly (readonly Tensor[])[],
  ) {
    const names = readDonation(op, option);
    this.names = currentRegion()?.isShared ? new Set() : names;
    if (this.names.size > 0)
      for (const { buffer } of lists.flat()) this.uses.set(buffer, (this.uses.get(buffer) ?? 0) + 1);
  }

  private has(list: number): boolean {
    return this.names.has(DONATIONS[Math.min(list, 2)]!);
  }

  get isNothing(): boolean {
    return this.names.size === 0;
  }

  /**
   * Which tensors of one place may be written to; null where that is not all of those that results could be written over, so that the update needs new
   * memory and may fail. Whatever else is needed of memory has been taken then, in the scope that runs.
   */
  over(at: number): readonly boolean[] | null {
    if (this.isNothing) return null;
    const tensors = this.lists.map((list) => list[at]!);
    const flags = tensors.map(
      ({ buffer, dtype }, list) =>
        this.has(list) &&
        this.uses.get(buffer) === 1 &&
        !isStorage(dtype) &&
        buffer.backend.isRewritable?.(buffer) === true,
    );
    if (flags.some((flag, list) => !flag && list !== GRADIENTS)) return null;
    const { buffer } = tensors[GRADIENTS]!;
    if (buffer.isArriving) return null;
    buffer.backend.bringNear!(buffer, currentRegion()!.on(buffer.backend)!);
    return flags;
  }

  /** Ends what was donated, save the buffers of results. @param further tensors of the state that are in no tree */
  end(results: readonly (readonly Tensor[])[], further: readonly Tensor[]): void {
    if (this.isNothing) return;
    const kept = new Set(results.flat().map(({ buffer }) => buffer));
    // Whoever donates does so step after step.
    for (const buffer of kept) buffer.backend.keepNear?.(buffer);
    for (const [i, list] of [...this.lists, further].entries()) {
      if (!this.has(i)) continue;
      for (const { buffer } of list) {
        if (kept.has(buffer)) continue;
        buffer.backend.discard(buffer);
        buffer.donatedTo = this.op;
      }
    }
  }
}
