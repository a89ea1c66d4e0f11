/** Images for recognisers: decoded pixels in, tensors out. Exported as `image`. */
export { fromPixels, type PixelOptions, type Pixels, type Size } from './pixels.js';
export {
  augment,
  type AugmentOptions,
  noise,
  type NoiseOptions,
  resize,
  type ResizeOptions,
  shear,
  type ShearOptions,
  toHeight,
} from './resampling.js';
