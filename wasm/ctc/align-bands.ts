/** Bands that are saved every few frames on the way forward, and how much memory they may take. */
import { Problem } from './align-problem';

/** Frames between saved bands: more of them make the cones larger, fewer cost memory, and are taken where nothing costs more than LITTLE. */
const FEWEST: i32 = 16;
const USUAL: i32 = 128;
const LITTLE: f64 = 24 * 1024 * 1024;
export function saveEvery(frames: i32, labels: i32): i32 {
  let every = FEWEST;
  while (every < USUAL && allSaved(frames, labels, every) > LITTLE) every *= 2;
  return every;
}

const MUCH: f64 = 160 * 1024 * 1024;
const MOST: f64 = 800 * 1024 * 1024;
/** Frames between saved bands above which more memory is taken instead. */
const WIDE: i32 = 4096;

/** The greatest distance of saved bands that a problem of this size can come to: where nothing is cut, and MUCH, or if need be MOST, is full. */
export function widest(frames: i32, labels: i32): i32 {
  let every = saveEvery(frames, labels);
  while (allSaved(frames, labels, every) > (every < WIDE ? MUCH : MOST)) every *= 2;
  return every;
}
@inline function allSaved(frames: i32, labels: i32, every: i32): f64 { return (<f64>(frames / every) + 1) * 16 * <f64>(labels + 1) + 64; }

/** Bytes for saved bands: never more than for a longer sequence. */
export function savedBytes(frames: i32, labels: i32): f64 {
  const all = allSaved(frames, labels, FEWEST), limit = allSaved(frames, labels, widest(frames, labels)) > MUCH ? MOST : MUCH;
  return all <= LITTLE ? all : max(LITTLE, min(allSaved(frames, labels, USUAL), limit));
}
/** Bytes for the directory of saved bands. */
@inline export function directoryBytes(frames: i32): usize { return <usize>(frames / FEWEST + 2) << 4; }

@inline export function entryOf(p: Problem, index: i32): usize { return p.directory + (<usize>index << 4); }

/** Saves the band before `frame`; where there is no room, every other saved band is dropped first. Returns where the next one goes. */
export function save(p: Problem, frame: i32, lo: i32, hi: i32, to: usize): usize {
  const bytes = <usize>(hi - lo) << 3;
  while (to + 2 * bytes > p.savedEnd) {
    const count = (frame - 1) / p.every + 1;
    to = p.saved;
    for (let k = 0; 2 * k < count; k++) {
      const from = entryOf(p, 2 * k), width = <usize>(load<u32>(from, 4) - load<u32>(from)) << 4;
      memory.copy(to, load<usize>(from, 8), width);
      store<u64>(entryOf(p, k), load<u64>(from));
      store<usize>(entryOf(p, k), to, 8);
      to += width;
    }
    p.every *= 2;
    if (frame % p.every != 0) return to;
  }
  const entry = entryOf(p, frame / p.every);
  store<u32>(entry, lo); store<u32>(entry, hi, 4); store<usize>(entry, to, 8);
  memory.copy(to, p.blanks + (<usize>lo << 3), bytes);
  memory.copy(to + bytes, p.states + (<usize>lo << 3), bytes);
  return to + 2 * bytes;
}
