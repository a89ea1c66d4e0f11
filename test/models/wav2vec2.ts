import { gelu, nn } from 'tapegrad';

/** Windows and strides of the convolutions over samples; the paper's are 10 / 5, four of 3 / 2 and two of 2 / 2: a frame in 20 ms. */
export type Front = readonly (readonly [kernel: number, stride: number])[];

const frontOf = (width: number, [first, ...rest]: Front) =>
  nn.sequential(
    nn.conv1d(1, width, first?.[0] ?? 10, { stride: first?.[1] ?? 5, bias: false }),
    nn.groupNorm(width, width),
    gelu,
    ...rest.map(([kernel, stride]) => nn.sequential(nn.conv1d(width, width, kernel, { stride, bias: false }), gelu)),
  );

/** A layer of the encoder, norms after the sums, as in the base model. */
const encoderLayer = (width: number, heads: number, dropout: number) =>
  nn.sequential(
    nn.residual(nn.sequential(nn.multiHeadAttention(width, heads, { dropout }), nn.dropout(dropout))),
    nn.layerNorm(width),
    nn.residual(nn.sequential(nn.linear(width, 4 * width), gelu, nn.linear(4 * width, width), nn.dropout(dropout))),
    nn.layerNorm(width),
  );

/** The sizes of the network. */
export interface Wav2vec2Sizes {
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  readonly dropout: number;
  readonly front: Front;
}

/**
 * The shape of wav2vec 2.0 with its CTC head (Baevski et al., arXiv:2006.11477): samples [N, n, 1] to logits [N, frames, classes]. Attention is
 * masked by the lengths that the convolutions leave, and positions come from a convolution in groups.
 */
export const wav2vec2 = (classes: number, { width, heads, layers, dropout, front }: Wav2vec2Sizes) =>
  nn.group({
    front: frontOf(width, front),
    into: nn.sequential(nn.layerNorm(width), nn.linear(width, width), nn.dropout(dropout)),
    positions: nn.residual(nn.sequential(nn.conv1d(width, width, 31, { padding: 'same', groups: heads }), gelu)),
    norm: nn.layerNorm(width),
    encoder: nn.sequential(...Array.from({ length: layers }, () => encoderLayer(width, heads, dropout))),
    head: nn.linear(width, classes),
  });
