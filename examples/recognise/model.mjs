import { nn, relu } from 'tapegrad';

const CHANNELS = 96;

/** Looks at more and more frames at once, and adds what it finds. */
const block = (dilation) =>
  nn.residual(
    nn.sequential(
      nn.conv1d(CHANNELS, CHANNELS, 3, { padding: 'same', dilation }),
      nn.layerNorm(CHANNELS),
      relu,
      nn.dropout(0.1),
    ),
  );

/**
 * The recogniser: [N, frames, features] to logits [N, frames / 2, classes], for columns of pixels and for mel energies alike.
 *
 * @param {number} features of a frame, a multiple of 4
 * @param {number} classes the letters and the blank
 */
export const modelOf = (features, classes) =>
  nn.sequential(
    (x) => x.expandDims(3),
    nn.conv2d(1, 8, 3, { padding: 'same' }),
    relu,
    nn.maxPool2d(2),
    nn.conv2d(8, 16, 3, { padding: 'same' }),
    relu,
    nn.maxPool2d([1, 2]),
    (x) => x.reshape([x.shape[0], x.shape[1], 4 * features]),
    nn.conv1d(4 * features, CHANNELS, 3, { padding: 'same' }),
    nn.layerNorm(CHANNELS),
    relu,
    block(1),
    block(2),
    block(4),
    nn.linear(CHANNELS, classes),
  );
