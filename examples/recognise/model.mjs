import { nn, relu } from 'tapegrad';

const CHANNELS = 96;
/** Channels of the two convolutions over pixels or bins: letters are finer than sounds. */
const FRONT = { image: [16, 32], audio: [8, 16] };

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
 * @param {'image' | 'audio'} kind
 * @param {number} features of a frame, a multiple of 4
 * @param {number} classes the letters and the blank
 */
export function modelOf(kind, features, classes) {
  const [first, second] = FRONT[kind];
  const deep = (features / 4) * second;
  return nn.sequential(
    (x) => x.expandDims(3),
    nn.conv2d(1, first, 3, { padding: 'same' }),
    relu,
    nn.maxPool2d(2),
    nn.conv2d(first, second, 3, { padding: 'same' }),
    relu,
    nn.maxPool2d([1, 2]),
    (x) => x.reshape([x.shape[0], x.shape[1], deep]),
    nn.conv1d(deep, CHANNELS, 3, { padding: 'same' }),
    nn.layerNorm(CHANNELS),
    relu,
    block(1),
    block(2),
    block(4),
    nn.linear(CHANNELS, classes),
  );
}
