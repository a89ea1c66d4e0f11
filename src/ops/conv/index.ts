export { conv1d, type Conv1dOptions, conv2d, type Conv2dOptions } from './convolution.js';
export {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  avgPool1d,
  avgPool2d,
  globalAvgPool,
  type GlobalPoolOptions,
  globalMaxPool,
  maxPool1d,
  maxPool2d,
} from './pooling.js';
export {
  convTranspose1d,
  type ConvTranspose1dOptions,
  convTranspose2d,
  type ConvTranspose2dOptions,
} from './transposed.js';
export { unfold } from './unfold.js';
export type { Pair, Window1dOptions, WindowOptions } from './windows.js';
