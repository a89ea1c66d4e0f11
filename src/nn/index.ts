export { multiHeadAttention } from './attention.js';
export type { AttentionLayer, AttentionLayerOptions, AttentionParams, MultiHeadAttentionOptions } from './attention.js';
export { conv1d, conv2d, convTranspose1d, convTranspose2d } from './conv.js';
export type {
  Conv1dOptions,
  Conv2dOptions,
  ConvParams,
  ConvTranspose1dOptions,
  ConvTranspose2dOptions,
} from './conv.js';
export { dropout } from './dropout.js';
export { embedding } from './embedding.js';
export type { EmbeddingParams } from './embedding.js';
export type { AnyStage, Composite, Stage, StageParams, StageStates } from './compose.js';
export { group } from './group.js';
export type { BoundParts, Group, GroupOptions, GroupParams, GroupState, Parts } from './group.js';
export type {
  AnyLayer,
  ApplyOptions,
  EvaluationOptions,
  InitOptions,
  Layer,
  ParamsOf,
  StatefulLayer,
  StateOf,
  StateOptions,
  TrainingOptions,
} from './layer.js';
export type { Lengths } from './lengths.js';
export { linear } from './linear.js';
export type { LinearParams } from './linear.js';
export { batchNorm, groupNorm, layerNorm, rmsNorm } from './norm.js';
export type {
  BatchNormOptions,
  BatchNormState,
  LayerNormOptions,
  LayerNormParams,
  NormParams,
  RmsNormParams,
} from './norm.js';
export type { PoolLayer } from './pool.js';
export {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  avgPool1d,
  avgPool2d,
  globalAvgPool,
  globalMaxPool,
  maxPool1d,
  maxPool2d,
} from './pool.js';
export { gru, lstm } from './recurrent.js';
export type {
  DirectionParams,
  GruState,
  LstmState,
  RecurrentLayer,
  RecurrentOptions,
  RecurrentParams,
  RecurrentParamsOf,
  StackedRecurrentParams,
} from './recurrent.js';
export { residual } from './residual.js';
export type { Residual, ShortcutResidual } from './residual.js';
export { sequential } from './sequential.js';
export type { Sequential } from './sequential.js';
export { summary } from './summary.js';
export type { SummaryOptions } from './summary.js';
