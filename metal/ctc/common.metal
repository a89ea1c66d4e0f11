// What the CTC kernels share. Probabilities are pairs of a mantissa in [1, 2) and an exponent, so nothing underflows and no infinity or NaN
// takes part in a recursion. Zero is the exponent ZERO.
#include <metal_stdlib>
using namespace metal;

struct CtcParams {
  uint frames, batch, classes, width;       // scores are [frames, batch, classes]; see targetOf for the lattice
  uint blank;
  uint logits;                              // 1: scores are normalised here; 0: they are log-probabilities, normalised or not
  uint first, count;                        // the sequences at work; what passes between the kernels is kept for these only
  uint slots;                               // emissions of a frame: `classes` where byClass, else 1 + `width` (the blank, then the labels)
  uint byClass;
  uint lanes;                               // threads that share a row of scores
  uint directions;                          // 1: only the loss is wanted; 2: the gradient as well
  uint posterior;                           // 1: ctcGrad gives the posteriors themselves
  uint scaled;                              // 1: ctcGrad multiplies with the cotangents
};

// What is asked of each sequence, in one buffer: input lengths [batch], target lengths [batch], targets [batch, width].
inline uint inputLengthOf(device const int *lattice, uint item) { return uint(lattice[item]); }
inline uint targetLengthOf(device const int *lattice, uint item, constant CtcParams &p) { return uint(lattice[p.batch + item]); }
inline device const int *targetOf(device const int *lattice, uint item, constant CtcParams &p) { return lattice + 2 * p.batch + item * p.width; }

// What comes out of a sequence, in a word each: the target's probability relative to the frames' exponents (mantissa and exponent), the
// loss, and the probability's logarithmic derivative along the direction.
inline float lossOf(int4 total) { return as_type<float>(total.z); }
inline float rateOf(int4 total) { return as_type<float>(total.w); }

constant int ZERO = -(1 << 28);          // the exponent of zero

// A probability: mantissa * 2^exponent.
struct Scaled { float mantissa; int exponent; };

inline Scaled scaled(float mantissa, int exponent) { Scaled s; s.mantissa = mantissa; s.exponent = exponent; return s; }
inline Scaled unpack(int2 bits) { return scaled(as_type<float>(bits.x), bits.y); }
inline int2 pack(Scaled s) { return int2(as_type<int>(s.mantissa), s.exponent); }

// 2^d for d <= 127; 0 below the normal floats.
inline float power(int d) { return as_type<float>(uint(max(d + 127, 0)) << 23); }

// v * 2^exponent for a normal v >= 1; sums of zeros stay near ZERO instead of drifting off.
inline Scaled normalised(float v, int exponent) {
  const uint bits = as_type<uint>(v);
  return scaled(as_type<float>((bits & 0x7fffffu) | 0x3f800000u), max(exponent + int(bits >> 23) - 127, ZERO));
}

inline Scaled times(Scaled a, Scaled b) { return normalised(a.mantissa * b.mantissa, a.exponent + b.exponent); }

inline Scaled plus(Scaled a, Scaled b) {
  const int top = max(a.exponent, b.exponent);
  return normalised(a.mantissa * power(a.exponent - top) + b.mantissa * power(b.exponent - top), top);
}

inline Scaled plus(Scaled a, Scaled b, Scaled c) {
  const int top = max(max(a.exponent, b.exponent), c.exponent);
  const float sum = a.mantissa * power(a.exponent - top) + b.mantissa * power(b.exponent - top) + c.mantissa * power(c.exponent - top);
  return normalised(sum, top);
}

// A recursion runs over positions: position i is the blank before label i, and label i; position `length` is the last blank. The only inflow
// from another position is the label before.

// One sequence in one direction. Backwards is the same walk with time and target reversed.
struct Walk {
  device const int2 *emissions;
  device const int *target;
  device int2 *states;
  uint times, length, slots, longest, blank;
  bool backwards, byClass, keep;
};

inline uint frameAt(Walk w, uint step) { return w.backwards ? w.times - 1 - step : step; }
inline uint tokenAt(Walk w, uint position) { return w.backwards ? w.length - 1 - position : position; }
inline uint labelAt(Walk w, uint position) { return uint(w.target[tokenAt(w, position)]); }
inline bool skipsTo(Walk w, uint position) { return position > 0 && position < w.length && labelAt(w, position) != labelAt(w, position - 1); }
inline uint blankSlot(Walk w) { return w.byClass ? w.blank : 0; }
// Positions without a label read the blank's slot; what they compute flows nowhere.
inline uint labelSlot(Walk w, uint position) { return position >= w.length ? blankSlot(w) : w.byClass ? labelAt(w, position) : 1 + tokenAt(w, position); }
inline Scaled emissionAt(Walk w, uint step, uint slot) { return unpack(w.emissions[ulong(frameAt(w, step)) * w.slots + slot]); }
