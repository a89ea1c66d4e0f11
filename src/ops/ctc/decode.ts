import { ValueError } from '../../errors.js';
import type { TensorLike } from '../../tensor/create.js';
import type { Tensor } from '../../tensor/tensor.js';
import { checkScores, type CtcScores, type ScoresOptions } from './layout.js';
import { checkInputLengths, type LengthOptions, optionsOfCall } from './options.js';

/** The most probable path of one sequence, collapsed. */
export interface GreedyPath {
  /** The labels read: the best class of every frame, repeats merged, blanks dropped. */
  readonly labels: number[];
  /** For each label the first frame of its run on the path. */
  readonly frames: number[];
  /** Log-probability of the path (one alignment, not of all alignments of the labels): the frames' maxima, summed. */
  readonly logProb: number;
}

export type GreedyOptions = ScoresOptions & Pick<LengthOptions, 'inputLengths'>;

/**
 * CTC greedy (best path) decoding: the best class of every frame, repeats merged, blanks dropped (Graves et al. 2006, section 3.2).
 * Of equal classes the lowest wins. Works for unnormalised scores as well; `logProb` is then their sum.
 *
 * @param logProbs [T, N, C] (or [N, T, C], see `layout`) or [T, C], any device; one result a sequence, so [T, C] gives a list of one.
 * @param inputLengths frames of each sequence, all T when left out; what lies beyond is never read. Or, in its place, the options with the
 * lengths among them.
 * @throws {ValueError} for a NaN inside a sequence, a length outside [0, T] or a blank outside [0, C).
 */
export async function greedyDecode(
  logProbs: Tensor,
  inputLengths?: TensorLike | GreedyOptions,
  options?: GreedyOptions,
): Promise<GreedyPath[]> {
  const job = checkCall('greedyDecode', logProbs, inputLengths, options); // refused before the device is asked for anything
  return bestPaths(await logProbs.data(), job);
}

/** `greedyDecode` at once, for scores that can be read without waiting. @throws {DeviceError} where they cannot; use `await greedyDecode`. */
export function greedyDecodeSync(
  logProbs: Tensor,
  inputLengths?: TensorLike | GreedyOptions,
  options?: GreedyOptions,
): GreedyPath[] {
  const job = checkCall('greedyDecodeSync', logProbs, inputLengths, options);
  return bestPaths(logProbs.glance(), job);
}

interface Job extends CtcScores {
  readonly op: string;
  readonly lengths: Int32Array;
}

function checkCall(
  op: string,
  logProbs: Tensor,
  inputLengths: TensorLike | GreedyOptions | undefined,
  given: GreedyOptions | undefined,
): Job {
  const options = optionsOfCall(op, ['inputLengths', 'layout', 'blank'], inputLengths, undefined, given);
  const read = checkScores(op, 'logProbs', logProbs, options);
  return { ...read, op, lengths: checkInputLengths(op, options.inputLengths, read) };
}

function bestPaths(
  scores: ArrayLike<number>,
  { op, frames: length, batch, classes, blank, layout, lengths }: Job,
): GreedyPath[] {
  const [perFrame, perSequence] = layout === 'TNC' ? [batch * classes, classes] : [classes, length * classes];
  return Array.from({ length: batch }, (_, n) => {
    const labels: number[] = [];
    const frames: number[] = [];
    let logProb = 0;
    let previous = blank;
    for (let t = 0; t < lengths[n]!; t++) {
      const row = t * perFrame + n * perSequence;
      let best = 0;
      for (let c = 0; c < classes; c++) {
        const score = scores[row + c]!;
        if (Number.isNaN(score))
          throw new ValueError(op, `sequence ${n}, frame ${t}: class ${c} is NaN, so no class is best`);
        if (score > scores[row + best]!) best = c;
      }
      logProb += scores[row + best]!;
      if (best !== blank && best !== previous) {
        labels.push(best);
        frames.push(t);
      }
      previous = best;
    }
    return { labels, frames, logProb };
  });
}
