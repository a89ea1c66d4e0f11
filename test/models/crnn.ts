import { nn, relu } from 'tapegrad';

const stage = (from: number, to: number) => nn.sequential(nn.conv2d(from, to, 3, { padding: 'same' }), relu);
const normed = (from: number, to: number) =>
  nn.sequential(nn.conv2d(from, to, 3, { padding: 'same', bias: false }), nn.batchNorm(to), relu);

/** Halves the rows of the picture, and reads on at every column. */
const flatter = nn.maxPool2d(2, { stride: [1, 2], padding: [1, 0] });

/**
 * The network of Shi, Bai and Yao (arXiv:1507.05717) as crnn.pytorch has it: lines of text [N, columns, 32, 1], logits [N, frames, classes], a frame
 * for every four columns.
 * @param width channels of the first convolution, 64 in the paper; the others go with it.
 */
export const crnn = (classes: number, width = 64, hidden = 256) =>
  nn.group({
    front: nn.sequential(
      stage(1, width),
      nn.maxPool2d(2),
      stage(width, 2 * width),
      nn.maxPool2d(2),
      normed(2 * width, 4 * width),
      stage(4 * width, 4 * width),
      flatter,
      normed(4 * width, 8 * width),
      stage(8 * width, 8 * width),
      flatter,
      nn.conv2d(8 * width, 8 * width, 2, { bias: false }),
      nn.batchNorm(8 * width),
      relu,
      (x) => x.squeeze(2), // one row is left
    ),
    rnn: nn.sequential(
      nn.lstm(8 * width, hidden, { bidirectional: true }),
      nn.linear(2 * hidden, hidden),
      nn.lstm(hidden, hidden, { bidirectional: true }),
    ),
    head: nn.linear(2 * hidden, classes),
  });
