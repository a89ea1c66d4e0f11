import { nn, silu } from 'tapegrad';

/** A feed-forward step with a gate (SwiGLU, Shazeer, arXiv:2002.05202). */
const gated = (width: number, inner: number) =>
  nn.group(
    {
      gate: nn.linear(width, inner, { bias: false }),
      up: nn.linear(width, inner, { bias: false }),
      down: nn.linear(inner, width, { bias: false }),
    },
    ({ gate, up, down }, x) => down(silu(gate(x)).mul(up(x))),
  );

const block = (width: number, heads: number, dropout: number) =>
  nn.group({
    attention: nn.residual(
      nn.sequential(
        nn.rmsNorm(width),
        nn.multiHeadAttention(width, heads, { causal: true, rotary: true, bias: false, dropout }),
      ),
    ),
    forward: nn.residual(nn.sequential(nn.rmsNorm(width), gated(width, 3 * width), nn.dropout(dropout))),
  });

/** The sizes of the network. */
export interface DecoderSizes {
  readonly width: number;
  readonly heads: number;
  readonly blocks: number;
  readonly dropout: number;
}

/** A decoder-only transformer of Llama's shape: symbols [N, T], int32, to logits of the next ones [N, T, symbols]. */
export const decoder = (symbols: number, { width, heads, blocks, dropout }: DecoderSizes) =>
  nn.group({
    embedding: nn.embedding(symbols, width),
    blocks: nn.sequential(...Array.from({ length: blocks }, () => block(width, heads, dropout))),
    norm: nn.rmsNorm(width),
    head: nn.linear(width, symbols, { bias: false }),
  });
