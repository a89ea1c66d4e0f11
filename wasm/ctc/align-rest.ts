/**
 * What later frames can still add to a path, at most: the bounds by which the way forward cuts.
 *
 * `rest` is the sum of the frames' greatest scores, whatever the target. A band cut by it is as wide as the whole sequence's misreadings allow. For a second
 * pass, `tighten` adds what it knows of the target: a frame's best class does not come at most places, and the path that is there can only have the second.
 */
import { Problem, at, put } from './align-problem';

/** The greatest of a row of scores, NaN if one is. */
@inline function greatestOf<T>(row: usize, classes: i32): f64 {
  let c = 0, top: f64 = -Infinity;
  if (sizeof<T>() == 4) {
    let tops = f32x4.splat(-Infinity);
    for (; c + 4 <= classes; c += 4) tops = f32x4.max(tops, v128.load(row + (<usize>c << 2)));
    top = <f64>max(max(f32x4.extract_lane(tops, 0), f32x4.extract_lane(tops, 1)), max(f32x4.extract_lane(tops, 2), f32x4.extract_lane(tops, 3)));
  }
  for (; c < classes; c++) top = max(top, <f64>load<T>(row + <usize>c * sizeof<T>()));
  return top;
}

/**
 * Fills `rest`. Where the target uses few classes, each frame counts with the greatest of theirs; else with the greatest of all, which is
 * found faster and bounds as well. Returns the sum of magnitudes, for rounding; NaN where a score is NaN or +Infinity.
 */
export function bounds<T>(p: Problem): f64 {
  const few = p.classSlots * 4 < p.classes;
  let sum: f64 = 0, magnitude: f64 = 0;
  put(p.rest, p.frames, 0);
  for (let t = p.frames - 1; t >= 0; t--) {
    const row = p.scores + <usize>t * p.stride, all = greatestOf<T>(row, p.classes);
    if (!(all < Infinity)) return NaN;
    let top = all;
    if (few) {
      top = -Infinity;
      for (let s = 0; s < p.classSlots; s++) top = max(top, <f64>load<T>(row + load<u32>(p.classOf + (<usize>s << 2))));
    }
    top = max(top, p.constant);
    sum += top;
    magnitude += abs(top);
    put(p.rest, t, sum);
  }
  return magnitude;
}

/** Shortfalls are whole numbers, so that sums of them are exact: so many make 1, a little less than they should. */
const UNIT: f64 = 1024;
/** The most that one frame counts, and the least that a table holds: more would be true, but would not fit. */
const MOST: f64 = 1000;
const LEAST: i32 = -(1 << 30);

/** Frames of a step and cells of a block, which are as many: in one step a path gets no further than into the next block. */
const SHORTEST: i32 = 4;
const LONGEST: i32 = 64;
/** What a table may take. */
const ROOM: f64 = 16 * 1024 * 1024;
/** The share of blocks, a class on average, above which its being missed says too little. */
const COMMON: f64 = 0.8;

@inline function stepsOf(frames: i32, stretch: i32): i32 { return (frames + stretch - 1) / stretch; }
/** Blocks, and at least one more where nothing ends. */
@inline function widthOf(labels: i32, stretch: i32): i32 { return (labels / stretch + 2 + 3) & ~3; }
@inline function tableBytes(frames: i32, labels: i32, stretch: i32): f64 { return (<f64>stepsOf(frames, stretch) + 1) * <f64>widthOf(labels, stretch) * 4 + 32; }

/** Bytes for the table of shortfalls; those for the lists that it is made of. */
export function shortfallBytes(frames: i32, labels: i32): f64 { return min(tableBytes(frames, labels, SHORTEST), ROOM); }
@inline export function placesBytes(labels: i32, classSlots: i32): usize { return <usize>(2 * labels + 2 * (classSlots + 1) + 2 * LONGEST) << 2; }

/** How far what a path in cell i can still gain from frame t on lies below `rest`, at least: a number up to 0. */
@inline export function shortfall(row: usize, stretch: i32, i: i32): f64 { return row ? <f64>load<i32>(row + (<usize>(i / stretch) << 2)) * (1 / UNIT) : 0; }
/** The row of shortfalls before frame t; 0 where there is none. */
@inline export function shortfallsAt(p: Problem, t: i32): usize {
  return p.stretch && t % p.stretch == 0 ? p.shortfalls + (<usize>(t / p.stretch) * <usize>widthOf(p.labels, p.stretch) << 2) : 0;
}

/**
 * For each class slot, and last for labels that are no classes, the blocks from which it can be reached within a step, without repetition: list s is
 * [start s, end s). Returns how many there are in all.
 */
function list(p: Problem): i32 {
  const slots = p.classSlots + 1, starts = p.places, ends = starts + (<usize>slots << 2), lists = ends + (<usize>slots << 2);
  memory.fill(ends, 0, <usize>slots << 2);
  for (let i = 0; i < p.labels; i++) {
    const to = ends + (<usize>min(load<u32>(p.slotAt + (<usize>i << 2)) >> 5, p.classSlots) << 2);
    store<i32>(to, load<i32>(to) + 2);
  }
  let sum = 0, total = 0;
  for (let s = 0; s < slots; s++) {
    const own = <usize>s << 2, count = load<i32>(ends + own);
    store<i32>(starts + own, sum); store<i32>(ends + own, sum);
    sum += count;
  }
  for (let i = 0; i < p.labels; i++) {
    const own = <usize>min(load<u32>(p.slotAt + (<usize>i << 2)) >> 5, p.classSlots) << 2, start = load<i32>(starts + own), block = i / p.stretch;
    let end = load<i32>(ends + own);
    const last = end > start ? load<i32>(lists + (<usize>(end - 1) << 2)) : -1;
    for (let k = max(block - 1, last + 1); k <= block; k++) { store<i32>(lists + (<usize>end << 2), k); end++; total++; }
    store<i32>(ends + own, end);
  }
  return total;
}

/**
 * Fills the table of shortfalls, from the last frame back: by steps of frames and blocks of cells. In a step, a frame counts its best class only for blocks
 * that have it within reach, and the second best for the others; blanks are everywhere.
 */
export function tighten<T>(p: Problem): void {
  const frames = p.frames, labels = p.labels;
  let stretch = SHORTEST;
  while (stretch <= LONGEST && tableBytes(frames, labels, stretch) > ROOM) stretch *= 2;
  if (stretch > LONGEST) return;
  p.stretch = stretch;
  if (<f64>list(p) > COMMON * <f64>(p.classSlots - 1) * <f64>(labels / stretch + 1)) { p.stretch = 0; return; }
  const width = widthOf(labels, stretch), bytes = <usize>width << 2, steps = stepsOf(frames, stretch), least = i32x4.splat(LEAST);
  const starts = p.places, ends = starts + (<usize>(p.classSlots + 1) << 2), lists = ends + (<usize>(p.classSlots + 1) << 2), misses = lists + (<usize>labels << 3);
  let row = p.shortfalls + <usize>steps * bytes;
  for (let k = 0; k < width; k++) store<i32>(row + (<usize>k << 2), LEAST);
  const last = labels - <i32>p.closes;
  store<i32>(row + (<usize>(last / stretch) << 2), 0);
  store<i32>(row + (<usize>(max(last - 1, 0) / stretch) << 2), 0);
  for (let step = steps - 1; step >= 0; step--) {
    const next = row, end = min((step + 1) * stretch, frames);
    row -= bytes;
    let missed = 0, missesEnd = misses;
    for (let t = step * stretch; t < end; t++) {
      const from = p.scores + <usize>t * p.stride;
      // The blank is the best one nearly everywhere: no need to look at the others then.
      if (<f64>load<T>(from + load<u32>(p.classOf)) >= at(p.rest, t) - at(p.rest, t + 1) - 1e-3) continue;
      let best: f64 = -Infinity, second = best, slot = 0;
      for (let s = 0; s < p.classSlots; s++) {
        const x = <f64>load<T>(from + load<u32>(p.classOf + (<usize>s << 2)));
        if (x > second) { if (x > best) { second = best; best = x; slot = s; } else second = x; }
      }
      if (slot == 0) continue;
      const gap = <i32>(min(best - second, MOST) * (UNIT * (1 - 1e-9)));
      missed += gap;
      store<i32>(missesEnd, slot); store<i32>(missesEnd, gap, 4);
      missesEnd += 8;
    }
    const all = i32x4.splat(missed);
    let here = v128.load(next);
    for (let k: usize = 0; k < bytes; k += 16) {
      const then = v128.load(next + k, 16), ahead = i32x4.max_s(here, v128.shuffle<i32>(here, then, 1, 2, 3, 4));
      v128.store(row + k, i32x4.max_s(i32x4.sub(ahead, all), least));
      here = then;
    }
    store<i32>(row + bytes - 4, LEAST); // beside it lay another row
    for (let miss = misses; miss < missesEnd; miss += 8) {
      const s = <usize>load<i32>(miss) << 2, gap = load<i32>(miss, 4), end = lists + (<usize>load<i32>(ends + s) << 2);
      for (let from = lists + (<usize>load<i32>(starts + s) << 2); from < end; from += 4) {
        const to = row + (<usize>load<i32>(from) << 2);
        store<i32>(to, load<i32>(to) + gap);
      }
    }
    // What is no class is within reach at any frame.
    const s = <usize>p.classSlots << 2;
    for (let from = load<i32>(starts + s); from < load<i32>(ends + s); from++) {
      const k = <usize>load<i32>(lists + (<usize>from << 2)) << 2;
      store<i32>(row + k, max(load<i32>(next + k), load<i32>(next + k, 4)));
    }
  }
}
