/** The entry for Node: the public surface, with Metal, WebGPU by a package, BLAS and the ndarray packages. */
export * from './surface.js';
export * as audio from './data/audio/index.js';
export * as image from './data/image.js';
export * as nn from './nn/index.js';
export * as optim from './optim/index.js';

export { blas, type BlasLibrary, findBlas, useBlas } from './backends/cpu/blas/index.js';
import { registerDevice } from './tensor/device.js';
import { registerInterchange } from './tensor/interchange.js';
import { ndarrays } from './tensor/ndarrays.js';

registerDevice('metal', async () => (await import('./backends/metal/index.js')).openMetal());
registerDevice('webgpu', async () => (await import('./backends/webgpu/dawn.js')).openInNode());
registerInterchange(ndarrays);
