/** Memory that shows who reads it after it was given back, and passes that give nothing back to compare with. */
import { type Tensor } from 'tapegrad';
import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';
import { Tape } from '../../src/autograd/tape.js';
import { Region } from '../../src/tensor/region.js';

/** Overwrites whatever is handed out or comes back. */
export function poisonMemory(): void {
  const original = (name: 'allocate' | 'give'): unknown =>
    Object.getOwnPropertyDescriptor(Allocator.prototype, name)!.value;
  const allocate = original('allocate') as (this: Allocator, bytes: number) => number;
  const give = original('give') as (this: Allocator, address: number, bytes: number) => void;
  const poison = (address: number, bytes: number): void => void heap().u8.fill(0xff, address, address + bytes);
  jest.spyOn(Allocator.prototype, 'allocate').mockImplementation(function (this: Allocator, bytes) {
    const address = allocate.call(this, bytes);
    poison(address, bytes);
    return address;
  });
  jest.spyOn(Allocator.prototype, 'give').mockImplementation(function (this: Allocator, address, bytes) {
    poison(address, bytes);
    give.call(this, address, bytes);
  });
}

/** Nothing goes back before its transform ends, and no sum is formed in place. */
export function recycleNothing(): void {
  jest.replaceProperty(Tape, 'leastDropped', Infinity);
  jest.spyOn(Region.prototype, 'sweep').mockImplementation(() => undefined);
  jest.spyOn(Allocator.prototype, 'give').mockImplementation(() => undefined);
}

export const bitsOf = (tree: readonly Tensor[]): string[] =>
  tree.map((t) => {
    const data = t.dataSync();
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');
  });

/** The bits of a result under either treatment. */
export function bothWays(run: () => readonly Tensor[]): { recycled: string[]; kept: string[] } {
  recycleNothing();
  const kept = bitsOf(run());
  jest.restoreAllMocks();
  poisonMemory();
  const recycled = bitsOf(run());
  jest.restoreAllMocks();
  return { recycled, kept };
}
