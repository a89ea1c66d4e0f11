import { nn, relu } from 'tapegrad';

/** A convolution over time, channel by channel, and one over channels, frame by frame. */
const separable = (from: number, to: number, kernel: number, options: nn.Conv1dOptions = { padding: 'same' }) =>
  nn.sequential(
    nn.conv1d(from, from, kernel, { ...options, groups: from, bias: false }),
    nn.conv1d(from, to, 1, { bias: false }),
    nn.batchNorm(to),
  );

const active = (from: number, to: number, kernel: number, dropout: number, options?: nn.Conv1dOptions) =>
  nn.sequential(separable(from, to, kernel, options), relu, nn.dropout(dropout));

const block = (from: number, to: number, kernel: number, repeats: number, dropout: number) =>
  nn.sequential(
    nn.residual(
      nn.sequential(
        active(from, to, kernel, dropout),
        ...Array.from({ length: repeats - 2 }, () => active(to, to, kernel, dropout)),
        separable(to, to, kernel),
      ),
      { shortcut: nn.sequential(nn.conv1d(from, to, 1, { bias: false }), nn.batchNorm(to)) },
    ),
    relu,
    nn.dropout(dropout),
  );

/** The sizes of a stack of blocks. */
export interface QuartzNetSizes {
  readonly width: number;
  /** The window of each block; 33, 39, 51, 63 and 75 in the paper. */
  readonly kernels: readonly number[];
  readonly repeats: number;
  readonly dropout: number;
}

/** Kriman et al., arXiv:1910.10261: features [N, T, bins] to logits [N, T / 2, classes]. */
export const quartzNet = (bins: number, classes: number, { width, kernels, repeats, dropout }: QuartzNetSizes) =>
  nn.group({
    front: active(bins, width, 33, dropout, { stride: 2, padding: 16 }),
    blocks: nn.sequential(...kernels.map((kernel) => block(width, width, kernel, repeats, dropout))),
    wide: active(width, 2 * width, 87, dropout, { padding: 'same', dilation: 2 }),
    flat: nn.sequential(nn.conv1d(2 * width, 2 * width, 1, { bias: false }), nn.batchNorm(2 * width), relu),
    head: nn.conv1d(2 * width, classes, 1),
  });
