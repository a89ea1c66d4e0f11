import type { TypedArray } from '../backends/backend.js';
import { hostArray } from '../backends/host-array.js';
import { DTypeError, ShapeError, ValueError } from '../errors.js';
import { checkBoolean, checkWhole, describe, nameOf } from '../tensor/arguments.js';
import { checkCreation, type DeviceOptions, settle } from '../tensor/create.js';
import type { Tensor } from '../tensor/tensor.js';

/** Of a decoded picture, in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
  /** 1 to 4; by default as many as the data has. */
  readonly channels?: number;
}

/**
 * A decoded picture as decoders give it: `ImageData` of a canvas; `{ data, width, height }` of pngjs or fast-png; `{ data, info }` of sharp's
 * `.raw().toBuffer({ resolveWithObject: true })`. Bytes are in [0, 255], 16-bit numbers in [0, 65535], floats in [0, 1].
 */
export type Pixels =
  (Size & { readonly data: ArrayLike<number> }) | { readonly data: ArrayLike<number>; readonly info: Size };

export interface PixelOptions extends DeviceOptions {
  /** Whether colours are kept: 3 channels instead of 1. False by default: grey by luminance, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). */
  readonly color?: boolean | undefined;
  /** Whether dark becomes 1 and light 0, so that ink is what counts. False by default. */
  readonly invert?: boolean | undefined;
  /** The grey in [0, 1] that shows through where pixels are transparent; 1, white, by default. */
  readonly background?: number | undefined;
  /** float32 by default, or float64. */
  readonly dtype?: 'float32' | 'float64' | undefined;
}

/** @internal The longest side of an image. */
export const LONGEST_SIDE = 2 ** 20;

/** What stands for 1, by the element type; of another realm's arrays as well. */
const FULL: Readonly<Record<string, number>> = {
  Uint8Array: 255,
  Uint8ClampedArray: 255,
  Uint16Array: 65_535,
  Float16Array: 1,
  Float32Array: 1,
  Float64Array: 1,
};

/**
 * A picture as a tensor [height, width, 1], or [height, width, 3] in colour, with values in [0, 1]: what `nn.conv2d` takes once `stack` has made a batch
 * of it. Black is 0 and white 1; `invert` makes ink 1 and paper 0. Transparent pixels lie on white.
 *
 * ```ts
 * const line = image.fromPixels({ data: new Uint8Array([0, 255, 255, 0]), width: 2, height: 2 }, { invert: true });
 * ```
 * @throws {ValueError | DTypeError | ShapeError} for what is no picture, and for data of another length than its size says.
 */
export function fromPixels(pixels: Pixels, options: PixelOptions = {}): Tensor {
  const op = 'fromPixels';
  checkCreation(op, options, ['color', 'invert', 'background', 'dtype', 'device']);
  const { color = false, invert = false, background = 1, dtype = 'float32', device } = options;
  checkBoolean(op, 'color', color);
  checkBoolean(op, 'invert', invert);
  if (typeof background !== 'number' || !(background >= 0 && background <= 1))
    throw new ValueError(op, `background is ${describe(background)}; it must be a number in [0, 1]`);
  if (!['float32', 'float64'].includes(dtype))
    throw new DTypeError(op, `images are float32 or float64, not ${describe(dtype)}`);
  const { data, width, height, channels, full } = checkPixels(op, pixels);
  const kept = color ? 3 : 1;
  const values = hostArray(dtype, width * height * kept);
  const hasAlpha = channels === 2 || channels === 4;
  const isGrey = channels < 3;
  for (let from = 0, to = 0; from < data.length; from += channels) {
    const alpha = hasAlpha ? data[from + channels - 1]! / full : 1;
    const [red, green, blue] = [data[from]!, data[isGrey ? from : from + 1]!, data[isGrey ? from : from + 2]!];
    if (color) {
      for (const value of [red, green, blue]) put(to++, value / full, alpha);
    } else {
      // Whole numbers up to the division, so that white is 1 exactly and grey is what it was.
      put(to++, isGrey ? red / full : (299 * red + 587 * green + 114 * blue) / (1000 * full), alpha);
    }
  }
  return settle(op, values, [height, width, kept], dtype, device);

  function put(at: number, value: number, alpha: number): void {
    const over = alpha === 1 ? value : value * alpha + background * (1 - alpha);
    values[at] = invert ? 1 - over : over;
  }
}

interface CheckedPixels extends Required<Size> {
  readonly data: TypedArray;
  readonly full: number;
}

/** Callers without types hand over anything, and every decoder has a form of its own. */
function checkPixels(op: string, pixels: unknown): CheckedPixels {
  if (typeof pixels !== 'object' || pixels === null || !('data' in pixels))
    throw new ValueError(
      op,
      `the pixels are ${describe(pixels)}; they must be a decoded picture: { data, width, height } or { data, info }`,
    );
  const { data } = pixels;
  const size = ('info' in pixels ? pixels.info : pixels) as Partial<Record<string, unknown>> | null | undefined;
  if (typeof size !== 'object' || size === null)
    throw new ValueError(op, `info is ${describe(size)}; it must be { width, height, channels }`);
  const kind = ArrayBuffer.isView(data) ? (data as unknown as Record<symbol, string>)[Symbol.toStringTag] : undefined;
  const full = FULL[kind ?? ''];
  if (full === undefined)
    throw new DTypeError(
      op,
      `the data is ${kind ? `a ${kind}` : nameOf(data)}; pixels are a Uint8Array, a Uint16Array, or floats in [0, 1]`,
    );
  const { width, height, channels, palette } = size;
  if (Array.isArray(palette))
    throw new ValueError(op, 'the picture has a palette, and its data are places in that; decode it to colours first');
  checkWhole(op, 'width', width, 1, LONGEST_SIDE);
  checkWhole(op, 'height', height, 1, LONGEST_SIDE);
  const values = data as TypedArray;
  const found = values.length / (width * height);
  if (channels !== undefined) checkWhole(op, 'channels', channels, 1, 4);
  if (!Number.isInteger(found) || found < 1 || found > 4 || (channels !== undefined && channels !== found))
    throw new ShapeError(
      op,
      `${width} x ${height} pixels of ${channels ?? '1 to 4'} channels are given with ${values.length} numbers` +
        (channels !== undefined && found === 2 * channels && full === 255
          ? '; for 16-bit samples wrap the bytes in a Uint16Array'
          : ''),
    );
  if (full === 1)
    for (let i = 0; i < values.length; i++)
      if (!Number.isFinite(values[i])) throw new ValueError(op, `number ${i} of the data is ${values[i]}`);
  return { data: values, width, height, channels: found, full };
}
