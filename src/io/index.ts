export { loadSafetensors, restoreTree, saveSafetensors } from './safetensors.js';
export type { RawTensor, Safetensors, SafetensorsDType, SaveOptions } from './safetensors.js';
