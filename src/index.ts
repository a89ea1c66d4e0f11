/** The entry for Node: the public surface of src/index.browser.ts, with Metal, BLAS and the ndarray packages. */
// First: what it registers for browsers is registered anew for Node below.
export * from './index.browser.js';

export { blas, type BlasLibrary, findBlas, useBlas } from './backends/cpu/blas/index.js';
import { registerDevice } from './tensor/device.js';
import { registerInterchange } from './tensor/interchange.js';
import { ndarrays } from './tensor/ndarrays.js';

registerDevice('metal', async () => (await import('./backends/metal/index.js')).openMetal());
registerDevice('webgpu', async () => (await import('./backends/webgpu/dawn.js')).openInNode());
registerInterchange(ndarrays);
