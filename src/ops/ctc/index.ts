export type { CtcTargets } from './lattice.js';
export type { CtcLayout, ScoresOptions } from './layout.js';
export { ctcLoss, ctcPosterior, type PosteriorOptions } from './loss.js';
export type { CtcOptions, LengthOptions } from './options.js';
export { type Alignment, type AlignOptions, ctcAlign, ctcAlignSync, type LabelSpan } from './align.js';
export { mergeSpans, type MergedSpan, type MergeOptions, type Span } from './spans.js';
export { beamDecode, beamDecodeSync, type BeamOptions, type BeamResult, type Hypothesis } from './beam.js';
export { BeamStream, type BeamStreamOptions, type StreamReading } from './beam-stream.js';
