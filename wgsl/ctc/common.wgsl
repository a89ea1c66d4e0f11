// What the CTC kernels share. Probabilities are pairs of a mantissa in [1, 2) and an exponent, so nothing underflows and no infinity or NaN
// takes part in a recursion. Zero is the exponent ZERO. Included by kernels behind
// their buffers, of which `lattice` and `p` are used here.

struct CtcParams {
  frames: u32,       // scores are [frames, batch, classes]; see targetOf for the lattice
  batch: u32,
  classes: u32,
  width: u32,
  blank: u32,
  logits: u32,       // 1: scores are normalised here; 0: they are log-probabilities, normalised or not
  first: u32,        // the sequences at work; what passes between the kernels is kept for these only
  count: u32,
  slots: u32,        // emissions of a frame: `classes` where byClass, else 1 + `width` (the blank, then the labels)
  byClass: u32,
  lanes: u32,        // threads that share a row of scores
  directions: u32,   // 1: only the loss is wanted; 2: the gradient as well
  posterior: u32,    // 1: ctcGrad gives the posteriors themselves
  scaled: u32,       // 1: ctcGrad multiplies with the cotangents
}

// What is asked of each sequence, in one buffer: input lengths [batch], target lengths [batch], targets [batch, width],
// and `marks`, which say of each class whether it can be in the target, or, where emissions are not kept by class, of each label where it is first.
fn inputLengthOf(item: u32) -> u32 { return u32(lattice[item]); }
fn targetLengthOf(item: u32) -> u32 { return u32(lattice[p.batch + item]); }
fn targetOf(item: u32) -> u32 { return 2u * p.batch + item * p.width; }   // where its labels begin
fn marksOf(item: u32) -> u32 { return (2u + p.width) * p.batch + item * p.slots; }

// What comes out of a sequence, in a word each: the target's probability relative to the frames' exponents (mantissa and exponent), the
// loss, and the probability's logarithmic derivative along the direction.
fn lossOf(total: vec4i) -> f32 { return bitcast<f32>(total.z); }
fn rateOf(total: vec4i) -> f32 { return bitcast<f32>(total.w); }

const ZERO = -268435456;          // the exponent of zero, -2^28
const IMPOSSIBLE = -134217728;    // an exponent below -2^27 has a zero among its factors
const LN2 = 0.693147182f;

// A probability: mantissa * 2^exponent.
struct Scaled { mantissa: f32, exponent: i32 }

const NOTHING = Scaled(1.0f, ZERO);

fn unpack(bits: vec2i) -> Scaled { return Scaled(bitcast<f32>(bits.x), bits.y); }
fn pack(s: Scaled) -> vec2i { return vec2i(bitcast<i32>(s.mantissa), s.exponent); }

// 2^d for d <= 127; 0 below the normal floats.
fn factor(d: i32) -> f32 { return bitcast<f32>(u32(max(d + 127, 0)) << 23u); }

// v * 2^exponent for a normal v >= 1/2; sums of zeros stay near ZERO instead of drifting off.
fn normalised(v: f32, exponent: i32) -> Scaled {
  let bits = bitcast<u32>(v);
  return Scaled(bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u), max(exponent + i32(bits >> 23u) - 127, ZERO));
}

fn times(a: Scaled, b: Scaled) -> Scaled { return normalised(a.mantissa * b.mantissa, a.exponent + b.exponent); }

fn plus(a: Scaled, b: Scaled) -> Scaled {
  let top = max(a.exponent, b.exponent);
  return normalised(a.mantissa * factor(a.exponent - top) + b.mantissa * factor(b.exponent - top), top);
}

fn plus3(a: Scaled, b: Scaled, c: Scaled) -> Scaled {
  let top = max(max(a.exponent, b.exponent), c.exponent);
  return normalised(a.mantissa * factor(a.exponent - top) + b.mantissa * factor(b.exponent - top) + c.mantissa * factor(c.exponent - top), top);
}
