import { glu, nn, relu, silu } from 'tapegrad';

/** Half a feed-forward step: half of it comes before attention and convolution, half after them. */
const halfStep = (width: number, dropout: number) =>
  nn.residual(
    nn.sequential(
      nn.layerNorm(width),
      nn.linear(width, 4 * width),
      silu,
      nn.dropout(dropout),
      nn.linear(4 * width, width),
      nn.dropout(dropout),
      (x) => x.mul(0.5),
    ),
  );

const block = (width: number, heads: number, kernel: number, dropout: number) =>
  nn.group({
    before: halfStep(width, dropout),
    attention: nn.residual(
      nn.sequential(nn.layerNorm(width), nn.multiHeadAttention(width, heads, { rotary: true, dropout })),
    ),
    convolution: nn.residual(
      nn.sequential(
        nn.layerNorm(width),
        nn.linear(width, 2 * width),
        (x) => glu(x),
        nn.conv1d(width, width, kernel, { padding: 'same', groups: width }),
        nn.batchNorm(width),
        silu,
        nn.linear(width, width),
        nn.dropout(dropout),
      ),
    ),
    after: halfStep(width, dropout),
    norm: nn.layerNorm(width),
  });

/** The sizes of a stack of blocks. */
type Sizes = Readonly<Record<'width' | 'heads' | 'blocks' | 'kernel' | 'dropout', number>>;

/** Gulati et al., arXiv:2005.08100, with rotary positions: features [N, T, bins] to logits [N, about T / 4, classes]. */
export const conformer = (bins: number, classes: number, { width, heads, blocks, kernel, dropout }: Sizes) => {
  const halve = (from: number) => nn.sequential(nn.conv2d(from, width, 3, { stride: 2, padding: 1 }), relu);
  return nn.group({
    front: nn.sequential(
      (x) => x.expandDims(-1),
      halve(1),
      halve(width),
      (x) => x.flatten(2),
    ),
    into: nn.sequential(nn.linear(Math.ceil(bins / 4) * width, width), nn.dropout(dropout)),
    blocks: nn.sequential(...Array.from({ length: blocks }, () => block(width, heads, kernel, dropout))),
    head: nn.linear(width, classes),
  });
};
