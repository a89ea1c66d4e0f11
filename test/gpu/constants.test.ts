/** Single numbers that stay on a device. */
import { Constants } from '../../src/backends/gpu/constants.js';
import type { Block } from '../../src/backends/gpu/memory.js';

/** What stands for the blocks, in the order in which they are made. */
function constants(): { readonly kept: Constants; readonly made: Block[] } {
  const made: Block[] = [];
  const kept = new Constants((data) => {
    const block = { data, isMissing: false } as unknown as Block;
    made.push(block);
    return block;
  });
  return { kept, made };
}

test('a number has a block from the second time on, by its bits', () => {
  const { kept, made } = constants();
  for (const value of [0.5, 0, -0]) {
    expect(kept.blockOf('float32', Float32Array.of(value))).toBeNull();
    const block = kept.blockOf('float32', Float32Array.of(value));
    expect(block).toBe(made.at(-1));
    expect(kept.blockOf('float32', Float32Array.of(value))).toBe(block);
  }
  expect(made).toHaveLength(3);
  for (let i = 0; i < 3; i++) {
    expect(kept.blockOf('int32', Int32Array.of(1))).toBeNull();
    expect(kept.blockOf('float32', Float32Array.of(1, 1))).toBeNull();
  }
});

test('one for which there was no room is made again, and not lost for good', () => {
  const { kept, made } = constants();
  const one = Float32Array.of(1);
  for (let i = 0; i < 3; i++) kept.blockOf('float32', one);
  made[0]!.isMissing = true;
  expect(kept.blockOf('float32', one)).toBe(made[1]);
  expect(kept.blockOf('float32', one)).toBe(made[1]);
});

test('there are never more than 64', () => {
  const { kept, made } = constants();
  for (let turn = 0; turn < 3; turn++) for (let i = 0; i < 100; i++) kept.blockOf('float32', Float32Array.of(i));
  expect(made).toHaveLength(64);
  expect(kept.blockOf('float32', Float32Array.of(99))).toBeNull();
  expect(kept.blockOf('float32', Float32Array.of(0))).toBe(made[0]);
});
