// float16 and bfloat16 as their bits, and whole numbers, from floats and back. Storage buffers have no elements of two bytes that every adapter knows.

fn fromHalf(bits: u32) -> f32 {
  let sign = (bits & 0x8000u) << 16u;
  let rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) { return bitcast<f32>((sign | 0x7f800000u | ((rest & 0x3ffu) << 13u)) ^ nothing); }
  if (rest < 0x400u) { return bitcast<f32>(bitcast<u32>(f32(rest) * 5.9604644775390625e-8f) | sign); }   // 2^-24
  return bitcast<f32>(sign | ((rest << 13u) + 0x38000000u));
}

// To nearest, ties to even.
fn toHalf(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  let sign = (bits >> 16u) & 0x8000u;
  let rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) { return sign | 0x7e00u | ((rest >> 13u) & 0x3ffu); }
  if (rest >= 0x477ff000u) { return sign | 0x7c00u; }
  if (rest >= 0x38800000u) { return sign | ((rest - 0x38000000u + 0xfffu + ((rest >> 13u) & 1u)) >> 13u); }
  // Below the normal halves: the digits with their leading one, shifted into place.
  let shift = 126u - (rest >> 23u);
  if (shift > 24u) { return sign; }
  let digits = (rest & 0x7fffffu) | 0x800000u;
  let kept = digits >> shift;
  let lost = digits & ((1u << shift) - 1u);
  let half = 1u << (shift - 1u);
  return sign | (kept + select(0u, 1u, lost > half || (lost == half && (kept & 1u) == 1u)));
}

// To nearest, ties to even.
fn toBfloat(v: f32) -> u32 {
  let bits = bitcast<u32>(v);
  if (isNaN(v)) { return (bits >> 16u) | 0x40u; }
  return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

// Cut off, at the ends of the range where it is beyond; NaN is 0.
fn toWhole(v: f32) -> i32 {
  if (isNaN(v)) { return 0; }
  if (v >= 2147483648.0f) { return 2147483647; }
  if (v <= -2147483648.0f) { return i32(-2147483648); }
  return i32(v);
}
