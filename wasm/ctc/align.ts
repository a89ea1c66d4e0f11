/**
 * The best alignment of a target (Viterbi over CTC's lattice) in float64: two cells a vector, four frames a pass over a band of cells, and a
 * proof that the band was wide enough.
 *
 * Nothing is kept of where a state came from: every few frames the band is saved, and the way back, which moves at most one cell a frame,
 * computes again the cone of cells that it can have come through, by the same additions in the same order.
 *
 * Lattice: A. Graves et al., "Connectionist Temporal Classification", ICML 2006, section 4.1, with maxima in place of sums. Free ends and
 * wildcards are labels that every frame emits at the same cost (L. Kuerzinger et al., "CTC-Segmentation of Large Corpora", 2020).
 */
import { directoryBytes, savedBytes, widest } from './align-bands';
import { endOf, forward } from './align-forward';
import { occupancy } from './align-occupancy';
import { traceback } from './align-path';
import { Problem, at, index, paddedCells } from './align-problem';
import { bounds, placesBytes, shortfallBytes, tighten } from './align-rest';
import { align, labelAt } from './sequence';

/** Bytes of workspace for sequences of at most so many frames and labels, as a float64: it may be more than there is memory. */
export function ctcAlignWorkspace(frames: i32, classes: i32, labels: i32): f64 {
  const all = labels + 2, cells = <f64>paddedCells(all), every = <f64>widest(frames, all);
  return 4096 + cells * (4 + 4 + 8 + 8 + 8) + <f64>min(all, classes) * (4 + 32) + 32 * 8 + <f64>classes * 4
    + <f64>frames * 8 + <f64>directoryBytes(frames) + (every + 4) * (16 + every) + savedBytes(frames, all)
    + shortfallBytes(frames, all) + <f64>placesBytes(all, min(all, classes) + 1);
}

/** What a sequence's row of `results` holds, float64: the score, passes over the lattice (0 where lengths decide), and the place of a bad score. */
const RESULTS: usize = 32;

/**
 * Below the frame's best, what is cut in the first pass: narrow, as it is done soon, and its score lets the second one cut exactly where it does not do.
 */
const DELTA: f64 = 60;

/**
 * What a path misses of the frames' greatest scores makes the second pass wide, a cell for every 4 or so. Below WORTH, that is narrow enough. Where it
 * is above HOPELESS a frame, the scores have little to do with the target, and no bound cuts much.
 */
const WORTH: f64 = 800;
const HOPELESS: f64 = 1;

/** Makes the result NaN if a score is NaN or +Infinity, with the place of the first that is. */
function findBad<T>(p: Problem, result: usize): void {
  for (let t = 0; t < p.frames; t++) for (let c = 0; c < p.classes; c++)
    if (!(<f64>load<T>(p.scores + <usize>t * p.stride + <usize>c * sizeof<T>()) < Infinity)) { store<f64>(result, t, 16); store<f64>(result, c, 24); store<f64>(result, NaN); return; }
}

function solve<T>(p: Problem, result: usize): void {
  p.stretch = 0;
  const magnitude = bounds<T>(p);
  if (isNaN(magnitude)) { findBad<T>(p, result); return; }
  let score: f64 = -Infinity, passes: f64 = 0;
  if (magnitude < Infinity) {
    // Sums round differently in different orders.
    const rounding = 2.3e-16 * <f64>(p.frames + 1) * magnitude;
    score = forward<T>(p, DELTA, -Infinity);
    passes = 1;
    if (p.lost > score - rounding - 2.3e-16 * <f64>p.frames * abs(score)) {
      if (score > -Infinity) {
        const missed = at(p.rest, 0) - score;
        if (missed > WORTH && missed < HOPELESS * <f64>p.frames) tighten<T>(p);
        score = forward<T>(p, Infinity, score - rounding - 4.6e-16 * <f64>p.frames * abs(score));
      } else score = forward<T>(p, Infinity, -Infinity);
      passes = 2;
    }
  }
  store<f64>(result, score);
  store<f64>(result, passes, 8);
  if (score > -Infinity) traceback<T>(p, endOf(p));
}

/** Best alignments of the sequences [begin, end). Costs of free ends are NaN where the ends are not free; a label of -1 is a wildcard; no posteriors go to 0. */
function alignAll<T>(
  scores: usize, targets: usize, inputLengths: usize, targetLengths: usize, paths: usize, results: usize, posterior: usize, workspace: usize,
  frames: i32, frameStride: usize, sequenceStride: usize, classes: i32, width: i32, blank: i32, opening: f64, closing: f64, wildcard: f64, begin: i32, end: i32,
): void {
  const places = workspace, p = changetype<Problem>(align(workspace + (<usize>classes << 2))), tables = align(changetype<usize>(p) + offsetof<Problem>());
  memory.fill(places, 0xff, <usize>classes << 2);
  p.classes = classes;
  p.stride = frameStride * sizeof<T>();
  p.opens = !isNaN(opening);
  p.closes = !isNaN(closing);
  for (let n = begin; n < end; n++) {
    const labels = load<i32>(targetLengths + (<usize>n << 2)), target = targets + (<usize>n * width << 2);
    p.frames = load<i32>(inputLengths + (<usize>n << 2));
    p.labels = labels + <i32>p.opens + <i32>p.closes;
    p.scores = scores + <usize>n * sequenceStride * sizeof<T>();
    p.path = paths + (<usize>n * frames << 2);
    const result = results + <usize>n * RESULTS;
    memory.fill(result, 0, RESULTS);
    if (!holds(p.frames, target, labels)) { store<f64>(result, -Infinity); findBad<T>(p, result); continue; }
    if (p.frames == 0) continue;
    const cells = <usize>paddedCells(p.labels), every = <usize>widest(p.frames, p.labels);
    p.targets = tables;
    p.classOf = p.targets + align(cells << 2);
    p.slotAt = p.classOf + align(<usize>(min(p.labels, classes) + 2) << 2);
    p.skip = p.slotAt + align(cells << 2);
    p.blanks = p.skip + align(cells << 3);
    p.states = p.blanks + align(cells << 3);
    p.emissions = p.states + align(cells << 3);
    p.rest = p.emissions + (<usize>(min(p.labels, classes) + 6) << 5);
    p.directory = p.rest + align(<usize>(p.frames + 1) << 3);
    p.cone = p.directory + directoryBytes(p.frames);
    p.steps = p.cone + ((every + 2) << 4);
    p.shortfalls = align(p.steps + every * (every + 2));
    p.places = align(p.shortfalls + <usize>shortfallBytes(p.frames, p.labels));
    p.saved = align(p.places + placesBytes(p.labels, min(p.labels, classes) + 1));
    p.savedEnd = p.saved + <usize>savedBytes(p.frames, p.labels);
    index(p, target, labels, blank, sizeof<T>(), places, opening, closing, wildcard);
    solve<T>(p, result);
    if (posterior && load<f64>(result) > -Infinity) occupancy<T>(p, posterior + (<usize>n * frames << 3));
  }
}

/** Whether so many frames can hold the target: its labels, and a blank between equal neighbours. */
function holds(frames: i32, targets: usize, labels: i32): bool {
  let needed = labels;
  for (let i = 1; i < labels && needed <= frames; i++) if (labelAt(targets, i) == labelAt(targets, i - 1) && labelAt(targets, i) >= 0) needed++;
  return needed <= frames;
}

/** Of float32 scores. Strides are in elements. */
export function ctcAlign(
  scores: usize, targets: usize, inputLengths: usize, targetLengths: usize, paths: usize, results: usize, posterior: usize, workspace: usize,
  frames: i32, frameStride: usize, sequenceStride: usize, classes: i32, width: i32, blank: i32, opening: f64, closing: f64, wildcard: f64, begin: i32, end: i32,
): void {
  alignAll<f32>(scores, targets, inputLengths, targetLengths, paths, results, posterior, workspace, frames, frameStride, sequenceStride, classes, width, blank, opening, closing, wildcard, begin, end);
}

/** Of float64 scores. */
export function ctcAlign64(
  scores: usize, targets: usize, inputLengths: usize, targetLengths: usize, paths: usize, results: usize, posterior: usize, workspace: usize,
  frames: i32, frameStride: usize, sequenceStride: usize, classes: i32, width: i32, blank: i32, opening: f64, closing: f64, wildcard: f64, begin: i32, end: i32,
): void {
  alignAll<f64>(scores, targets, inputLengths, targetLengths, paths, results, posterior, workspace, frames, frameStride, sequenceStride, classes, width, blank, opening, closing, wildcard, begin, end);
}
