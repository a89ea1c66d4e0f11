/** float16 and bfloat16 as bits, converted from and to numbers. */

const scratch = new DataView(new ArrayBuffer(8));
const float = new Float32Array(1);
const word = new Int32Array(float.buffer);

/** Rounds to float16, to nearest with ties to even, and gives its bits. */
export function toHalf(value: number): number {
  scratch.setFloat64(0, value);
  const high = scratch.getUint32(0);
  const sign = (high >>> 16) & 0x8000;
  if (Number.isNaN(value)) return sign | 0x7e00;
  const magnitude = Math.abs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24);
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  const mantissa = roundToEven((magnitude / 2 ** exponent - 1) * 1024);
  return sign | (((exponent + 15) << 10) + mantissa);
}

export function fromHalf(bits: number): number {
  const magnitude = bits & 0x7fff;
  word[0] = magnitude << 13;
  // The exponent becomes float32's by a multiplication, which makes normal numbers of subnormal ones.
  const value = magnitude < 0x7c00 ? float[0]! * 2 ** 112 : magnitude === 0x7c00 ? Infinity : NaN;
  return bits & 0x8000 ? -value : value;
}

/** Rounds to bfloat16 from float64 in one step, to nearest with ties to even, and gives its bits. */
export function toBfloat16(value: number): number {
  scratch.setFloat64(0, value);
  const sign = (scratch.getUint32(0) >>> 16) & 0x8000;
  if (Number.isNaN(value)) return sign | 0x7fc0;
  const magnitude = Math.abs(value);
  if (magnitude === Infinity) return sign | 0x7f80;
  if (magnitude < 2 ** -126) return sign | roundToEven(magnitude * 2 ** 133);
  const exponent = ((scratch.getUint32(0) >>> 20) & 0x7ff) - 1023;
  if (exponent > 127) return sign | 0x7f80;
  const mantissa = roundToEven((magnitude / 2 ** exponent - 1) * 128);
  return sign | (((exponent + 127) << 7) + mantissa);
}

export function fromBfloat16(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
