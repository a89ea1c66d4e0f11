/** float16 and bfloat16 as bits, converted from and to numbers. */

const scratch = new DataView(new ArrayBuffer(8));

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
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
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
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}
