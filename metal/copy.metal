// Moving elements and changing their type. IN and OUT are the element types, set by the backend.
#include <metal_stdlib>
using namespace metal;

#ifndef IN
#define IN float
#define OUT float
#endif

struct CopyParams {
  uint rank;
  uint4 shape[2];
  int sourceOffset;
  int4 sourceStrides[2];
  int outOffset;
  int4 outStrides[2];
};
struct FillParams { uint size; float value; };
struct CastParams { uint size; };

// bfloat16 is kept as its bits, the upper half of a float32.
inline float valueOf(float v) { return v; }
inline float valueOf(int v) { return float(v); }
inline float valueOf(bool v) { return v ? 1.0f : 0.0f; }
inline float valueOf(half v) { return float(v); }
inline float valueOf(ushort v) { return as_type<float>(uint(v) << 16); }

inline void store(device float &to, float v) { to = v; }
inline void store(device bool &to, float v) { to = v != 0.0f; }
inline void store(device half &to, float v) { to = half(v); }
// Cut off, at the ends of the range where it is beyond; NaN is 0.
inline void store(device int &to, float v) { to = isnan(v) ? 0 : v >= 2147483648.0f ? 2147483647 : v <= -2147483648.0f ? -2147483647 - 1 : int(v); }
// To nearest, ties to even.
inline void store(device ushort &to, float v) {
  const uint bits = as_type<uint>(v);
  to = isnan(v) ? ushort((bits >> 16) | 0x40u) : ushort((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

kernel void copy(device const IN *source [[buffer(0)]],
                 device OUT *out [[buffer(1)]],
                 constant CopyParams &p [[buffer(2)]],
                 uint index [[thread_position_in_grid]],
                 uint threads [[threads_per_grid]]) {
  uint size = 1;
  for (uint axis = 0; axis < p.rank; axis++) size *= p.shape[axis / 4][axis % 4];
  for (uint i = index; i < size; i += threads) {
    uint rest = i;
    int from = p.sourceOffset, to = p.outOffset;
    for (uint axis = p.rank; axis-- > 0;) {
      const uint dim = p.shape[axis / 4][axis % 4];
      const int position = int(rest % dim);
      rest /= dim;
      from += position * p.sourceStrides[axis / 4][axis % 4];
      to += position * p.outStrides[axis / 4][axis % 4];
    }
    out[to] = source[from];
  }
}

// out += source, between two views.
kernel void accumulate(device const IN *source [[buffer(0)]],
                       device OUT *out [[buffer(1)]],
                       constant CopyParams &p [[buffer(2)]],
                       uint index [[thread_position_in_grid]],
                       uint threads [[threads_per_grid]]) {
  uint size = 1;
  for (uint axis = 0; axis < p.rank; axis++) size *= p.shape[axis / 4][axis % 4];
  for (uint i = index; i < size; i += threads) {
    uint rest = i;
    int from = p.sourceOffset, to = p.outOffset;
    for (uint axis = p.rank; axis-- > 0;) {
      const uint dim = p.shape[axis / 4][axis % 4];
      const int position = int(rest % dim);
      rest /= dim;
      from += position * p.sourceStrides[axis / 4][axis % 4];
      to += position * p.outStrides[axis / 4][axis % 4];
    }
    store(out[to], valueOf(out[to]) + valueOf(source[from]));
  }
}

kernel void fill(device OUT *out [[buffer(0)]],
                 constant FillParams &p [[buffer(1)]],
                 uint index [[thread_position_in_grid]],
                 uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.size; i += threads) store(out[i], p.value);
}

kernel void cast(device const IN *x [[buffer(0)]],
                 device OUT *out [[buffer(1)]],
                 constant CastParams &p [[buffer(2)]],
                 uint index [[thread_position_in_grid]],
                 uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.size; i += threads) store(out[i], valueOf(x[i]));
}
