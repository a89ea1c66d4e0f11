export { restoreTree } from './restore.js';
export type { RestoreOptions, Unmatched } from './restore.js';
export { loadSafetensors, saveSafetensors } from './safetensors.js';
export type { LoadOptions, RawTensor, Safetensors, SafetensorsDType, SaveOptions } from './safetensors.js';
export { fromTorch } from './torch.js';
export type { FromTorch, FromTorchOptions } from './torch.js';
