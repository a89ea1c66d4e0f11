// The order of the elements along the middle axis of x[outer, axis, inner]: stable, by digits (radix sort, from the lowest digit up), or
// by insertion where rows are short or few places are wanted.
//
// An element becomes a whole number that sorts as it does, its key; key and position lie side by side in one word of 64 bits.

const DIGIT_BITS: u32 = 11;
const DIGITS: i32 = 1 << DIGIT_BITS;
/** Rows up to this length are sorted by insertion. */
const FEW: i32 = 48;
/** As many places as this at most are found by insertion in rows of any length: a row that gets better and better moves all of them for each element. */
const FEW_WANTED: i32 = 32;

/** Bytes of scratch memory for rows of a length: two lists of words, and the counts of one digit. */
export function argsortScratch(axis: i32): f64 {
  return 16 * <f64>axis + 4 * <f64>DIGITS;
}

/** The key of four bytes: floats from -Infinity to Infinity, -0 as 0, then NaN; or whole numbers. */
@inline function keyOf(at: usize, whole: bool): u32 {
  const bits = load<u32>(at);
  if (whole) return bits ^ 0x80000000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0xffffffff;
  if (magnitude == 0) return 0x80000000;
  return bits >> 31 ? ~bits : bits | 0x80000000;
}

@inline function wordOf(at: usize, place: i32, flip: u32, whole: bool): u64 {
  return (<u64>(keyOf(at, whole) ^ flip) << 32) | <u64>place;
}

/** The `count` least words of a row, in order, by insertion. */
function leastWords(x: usize, words: usize, axis: i32, step: usize, count: i32, flip: u32, whole: bool): void {
  const last = words + (<usize>(count - 1) << 3);
  for (let j = 0; j < axis; j++, x += step) {
    const word = wordOf(x, j, flip, whole);
    if (j >= count && word > load<u64>(last)) continue;
    let to = words + (<usize>min(j, count - 1) << 3);
    for (; to > words && load<u64>(to - 8) > word; to -= 8) store<u64>(to, load<u64>(to - 8));
    store<u64>(to, word);
  }
}

/** Sorts words by the digit of their keys that begins at a bit, into another list; false where all digits are alike and nothing was done. */
function sortByDigit(words: usize, other: usize, n: i32, counts: usize, shift: u32): bool {
  memory.fill(counts, 0, <usize>DIGITS << 2);
  const end = words + (<usize>n << 3), mask: u32 = DIGITS - 1;
  for (let from = words; from < end; from += 8) {
    const count = counts + (<usize>((<u32>(load<u64>(from) >> 32) >> shift) & mask) << 2);
    store<u32>(count, load<u32>(count) + 1);
  }
  if (load<u32>(counts + (<usize>((<u32>(load<u64>(words) >> 32) >> shift) & mask) << 2)) == <u32>n) return false;
  let sum: u32 = 0;
  for (let digit = 0; digit < DIGITS; digit++) {
    const count = counts + (<usize>digit << 2), own = load<u32>(count);
    store<u32>(count, sum);
    sum += own;
  }
  for (let from = words; from < end; from += 8) {
    const word = load<u64>(from), count = counts + (<usize>((<u32>(word >> 32) >> shift) & mask) << 2), place = load<u32>(count);
    store<u64>(other + (<usize>place << 3), word);
    store<u32>(count, place + 1);
  }
  return true;
}

/** The first `count` positions (int32) in the order of the elements, floats or, where `whole`, int32, as out[outer, count, inner]. */
export function argsort(x: usize, out: usize, outer: i32, axis: i32, inner: i32, count: i32, descending: bool, whole: bool, scratch: usize): void {
  const step = <usize>inner << 2, counts = scratch, first = scratch + (<usize>DIGITS << 2), second = first + (<usize>axis << 3);
  const flip: u32 = descending ? 0xffffffff : 0;
  for (let o = 0; o < outer; o++, x += <usize>axis * step, out += <usize>count * step) {
    for (let i = 0; i < inner; i++) {
      let words = first, other = second, from = x + (<usize>i << 2);
      if (axis <= FEW || count <= FEW_WANTED) {
        leastWords(from, words, axis, step, count, flip, whole);
      } else {
        for (let j = 0; j < axis; j++, from += step) store<u64>(words + (<usize>j << 3), wordOf(from, j, flip, whole));
        for (let shift: u32 = 0; shift < 32; shift += DIGIT_BITS) {
          if (!sortByDigit(words, other, axis, counts, shift)) continue;
          const swap = words;
          words = other;
          other = swap;
        }
      }
      let to = out + (<usize>i << 2);
      for (let j = 0; j < count; j++, to += step) store<i32>(to, <i32>load<u64>(words + (<usize>j << 3)));
    }
  }
}
