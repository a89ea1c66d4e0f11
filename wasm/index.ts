// Every kernel that the CPU backend can call. Kernels take byte addresses and sizes, allocate nothing and keep no state between calls
// (the memory is shared with worker threads); scratch memory comes from the caller.
export function heapBase(): usize { return __heap_base; }
export * from "./cast";
export * from "./conv";
export * from "./convolution";
export * from "./copy";
export * from "./ctc/align";
export * from "./ctc/alone";
export { ctcBeam, ctcBeamBytes, ctcBeamLabels, ctcBeamMove, ctcBeamOpen, ctcBeamRead, ctcBeamUndo } from "./ctc/beam";
export * from "./ctc/beam-save";
export { ctcBeamCut, ctcBeamShared } from "./ctc/beam-trie";
export { ctcBeamRename, ctcBeamStates, ctcBeamSteered } from "./ctc/steered";
export { ctcBeamSteer } from "./ctc/steered-bounds";
export { ctcBeamLearn, ctcBeamTableBytes, ctcBeamTableMove, ctcBeamTableOpen } from "./ctc/steered-table";
export * from "./ctc/curvature";
export * from "./ctc/loss";
export * from "./depthwise";
export { fftPlan, irfft, rfft } from "./fft";
export { fftPlanBytes, fftScratchBytes } from "./fft-plan";
export * from "./gather";
export * from "./generated/elementwise";
export * from "./matmul";
export { packPanels } from "./matmul-packed";
export * from "./moments";
export { centerF64, normF64, varianceF64 } from "./moments64";
export * from "./norm";
export * from "./optimizer";
export * from "./recurrent";
export * from "./reduce";
export * from "./scan";
export * from "./softmax";
export * from "./softmax-vjp";
export { argsort, argsortScratch } from "./sort";
export { sumOfParts, sumParts } from "./sums";
