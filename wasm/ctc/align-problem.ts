/**
 * A sequence to be aligned, in tables: what `align.ts` and the files beside it work on.
 *
 * Cell i holds the blank before label i and label i; cell `labels` holds the closing blank and a dummy label.
 */
import { labelAt } from './sequence';

/** Labels that are no classes: any run of frames in the target, and the runs before and after it. */
export const enum Constant { Wildcard = -1, Opening = -2, Closing = -3 }

/** What the path holds at frames that emit no label. */
export const enum Unlabelled { Blank = -1, Outside = -2 }

/** One sequence: its scores, tables and states, all in the task's workspace. */
@unmanaged
export class Problem {
  scores: usize;
  /** Bytes from one frame to the next. */
  stride: usize;
  frames: i32;
  classes: i32;
  /** Labels, those for free ends included. */
  labels: i32;
  opens: bool;
  closes: bool;
  /** int32, one a cell. */
  targets: usize;
  /** Slot 0 is the blank's; then come the target's classes, then what costs the same at every frame; the last one is the dummy label's. */
  classSlots: i32;
  slots: i32;
  /** Bytes from a frame's first score to that of each class slot. */
  classOf: usize;
  /** 32 times the slot of each cell's label. */
  slotAt: usize;
  /** 0 where a path may enter a cell from its left neighbour's label, else -Infinity; float64. */
  skip: usize;
  /** Four frames' emissions, float64 [slot][4]. */
  emissions: usize;
  /** The states of one frame: ending in each cell's blank, in its label. */
  blanks: usize;
  states: usize;
  /** The sum over the frames from t on of each one's greatest score, float64. */
  rest: usize;
  /** Frames of a step and cells of a block in the table of shortfalls, 0 while there is none; the table; and lists to make it of: see align-rest.ts. */
  stretch: i32;
  shortfalls: usize;
  places: usize;
  /** The greatest constant that a frame may cost instead of one of its scores. */
  constant: f64;
  /** Every `every` frames, from 0 on: the band's first cell, its end, and where its states are saved. */
  directory: usize;
  every: i32;
  saved: usize;
  savedEnd: usize;
  /** The cone: two rows of float64, and a byte for each step. */
  cone: usize;
  steps: usize;
  path: usize;
  /** The greatest that anything cut off could have come to. */
  lost: f64;
}

@inline export function at(base: usize, i: i32): f64 { return load<f64>(base + (<usize>i << 3)); }
@inline export function put(base: usize, i: i32, x: f64): void { store<f64>(base + (<usize>i << 3), x); }

/** Cells with the padding that vector reads may touch. */
@inline export function paddedCells(labels: i32): i32 { return labels + 9; }

/** Fills the tables of a target. `places` holds -1 for every class, and does so again afterwards. */
export function index(p: Problem, targets: usize, labels: i32, blank: i32, size: usize, places: usize, opening: f64, closing: f64, wildcard: f64): void {
  const count = p.labels, shift = p.opens ? 1 : 0, cells = paddedCells(count);
  if (p.opens) store<i32>(p.targets, Constant.Opening);
  memory.copy(p.targets + (shift << 2), targets, <usize>labels << 2);
  if (p.closes) store<i32>(p.targets + (<usize>(count - 1) << 2), Constant.Closing);
  let slots = 1;
  store<u32>(p.classOf, <u32>(<usize>blank * size));
  for (let i = 0; i < count; i++) {
    const label = labelAt(p.targets, i);
    if (label < 0) continue;
    const place = places + (<usize>label << 2);
    let slot = load<i32>(place);
    if (slot < 0) {
      slot = slots++;
      store<i32>(place, slot);
      store<u32>(p.classOf + (<usize>slot << 2), <u32>(<usize>label * size));
    }
    store<u32>(p.slotAt + (<usize>i << 2), slot << 5);
  }
  p.classSlots = slots;
  p.slots = slots + 4;
  p.constant = -Infinity;
  for (let i = 0; i < count; i++) {
    const label = labelAt(p.targets, i);
    if (label >= 0) { store<i32>(places + (<usize>label << 2), -1); continue; }
    p.constant = max(p.constant, label == Constant.Wildcard ? wildcard : label == Constant.Opening ? opening : closing);
    store<u32>(p.slotAt + (<usize>i << 2), (slots + ~label) << 5);
  }
  for (let k = 0; k < 4; k++) {
    const to = p.emissions + (<usize>(slots + k) << 5), x = f64x2.splat(k == 0 ? wildcard : k == 1 ? opening : k == 2 ? closing : -Infinity);
    v128.store(to, x); v128.store(to, x, 16);
  }
  for (let i = 0; i < cells; i++) {
    if (i >= count) store<u32>(p.slotAt + (<usize>i << 2), (slots + 3) << 5);
    const free = i > 0 && i < count && (labelAt(p.targets, i) != labelAt(p.targets, i - 1) || labelAt(p.targets, i) < 0);
    put(p.skip, i, free ? 0 : -Infinity);
  }
}

/** The emission of one cell's label at one frame. */
@inline export function emission<T>(p: Problem, row: usize, i: i32): f64 {
  const slot = <i32>(load<u32>(p.slotAt + (<usize>i << 2)) >> 5);
  return slot < p.classSlots ? <f64>load<T>(row + load<u32>(p.classOf + (<usize>slot << 2))) : load<f64>(p.emissions + (<usize>slot << 5));
}
