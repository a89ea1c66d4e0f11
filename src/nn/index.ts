export { conv1d, conv2d } from './conv.js';
export type { Conv1dOptions, Conv2dOptions, ConvParams } from './conv.js';
export { dropout } from './dropout.js';
export { embedding } from './embedding.js';
export type { EmbeddingParams } from './embedding.js';
export type { ApplyOptions, Layer } from './layer.js';
export { linear } from './linear.js';
export type { LinearParams } from './linear.js';
export { layerNorm } from './norm.js';
export type { LayerNormParams } from './norm.js';
export { gru, lstm } from './recurrent.js';
export type {
  DirectionParams,
  GruState,
  LstmState,
  RecurrentLayer,
  RecurrentOptions,
  RecurrentParams,
} from './recurrent.js';
export { sequential } from './sequential.js';
export type { Stage, StageParams } from './sequential.js';
