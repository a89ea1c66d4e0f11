import { maxPool2d, nn, relu } from 'tapegrad';
import { HEIGHT } from './lines.mjs';

/** Classes 0 to 9 are the digits, the last one is CTC's blank. */
export const BLANK = 10;
export const CLASSES = 11;

/** Columns of the image that make one frame. */
export const STRIDE = 4;

const halve = (x) => maxPool2d(x, 2);
const FEATURES = (HEIGHT / 4) * 16;

/**
 * The recogniser, 62,603 parameters: images [N, width, HEIGHT, 1] to logits [width / STRIDE, N, CLASSES], frames first as CTC wants them.
 * Without the layer norm the net may never leave the plateau on which it reads nothing.
 */
export const model = nn.sequential(
  nn.conv2d(1, 8, 3, { padding: 'same' }),
  relu,
  halve,
  nn.conv2d(8, 16, 3, { padding: 'same' }),
  relu,
  halve,
  (x) => x.reshape([x.shape[0], x.shape[1], FEATURES]),
  nn.conv1d(FEATURES, 96, 3, { padding: 'same' }),
  nn.layerNorm(96),
  relu,
  nn.conv1d(96, 96, 3, { padding: 'same' }),
  relu,
  nn.linear(96, CLASSES),
  (x) => x.permute([1, 0, 2]),
);
