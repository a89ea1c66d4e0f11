/** The entry for browsers: the public surface, with WebGPU as pages have it and an inflater, which pages lack. */
import { gunzipSync, inflateSync } from 'fflate';
import { registerInflater } from './inflate.js';
import { registerDevice } from './tensor/device.js';

export * from './surface.js';

registerInflater({ inflate: (bytes) => inflateSync(bytes), gunzip: (bytes) => gunzipSync(bytes) });
registerDevice('webgpu', async () => (await import('./backends/webgpu/index.js')).openWebGpu());
