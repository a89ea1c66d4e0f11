import { alphabet, nn, relu } from 'tapegrad';

/** What is read: small letters, apostrophe and space; class 0 is CTC's blank. */
export const LETTERS = alphabet("abcdefghijklmnopqrstuvwxyz' ");
export const SPACE = LETTERS.encode(' ')[0];

/** Samples a second of the recordings, and the features made of them. */
export const SAMPLE_RATE = 8000;
export const BINS = 40;
export const HOP = 0.01;
export const FEATURES = { bins: BINS, window: 0.025, hop: HOP, preEmphasis: 0.97, normalize: 'bins' };

/** Frames of the features that make one of the network. */
const STRIDE = 3;
export const SECONDS_PER_FRAME = HOP * STRIDE;

const WIDTH = 128;
const DROPOUT = 0.1;

const convolution = (from, window, options) =>
  nn.sequential(nn.conv1d(from, WIDTH, window, options), nn.layerNorm(WIDTH), relu);
const dilated = (dilation) => nn.residual(convolution(WIDTH, 7, { padding: 'same', dilation }));

/**
 * The recogniser, 457,245 parameters: features [N, T, BINS] to logits [ceil(T / 3), N, classes], frames first as CTC wants them. A frame hears 0.6 seconds
 * on either side.
 */
export const model = nn.sequential(
  convolution(BINS, 5, { stride: STRIDE, padding: 2 }),
  nn.dropout(DROPOUT),
  convolution(WIDTH, 5, { padding: 'same' }),
  nn.dropout(DROPOUT),
  dilated(1),
  dilated(2),
  dilated(3),
  nn.linear(WIDTH, LETTERS.size),
  (x) => x.permute([1, 0, 2]),
);
