/** The entry for browsers: the public surface, with WebGPU as pages have it and an inflater, which pages lack. */
import { inflateSync } from 'fflate';
import { gunzip } from './gunzip.js';
import { registerInflater } from './inflate.js';
import { registerDevice } from './tensor/device.js';

export * from './surface.js';
export * as audio from './data/audio/index.js';
export * as image from './data/image.js';
export * as nn from './nn/index.js';
export * as optim from './optim/index.js';

registerInflater({ inflate: (bytes) => inflateSync(bytes), gunzip });
registerDevice('webgpu', async () => (await import('./backends/webgpu/index.js')).openWebGpu());
