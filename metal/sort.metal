// The first `count` places in the order of the elements along the middle axis of [outer, axis, inner]. A thread counts for one element how many come before
// it, and that is its place: as many comparisons as the square of the length, all at once.
#include "math.metal"

#ifndef IN
#define IN float
#define OUT int
#endif

struct ArgsortParams { uint outer, axis, inner, count, descending; };

// Whether a comes before b in ascending order: NaN after all numbers.
inline bool precedes(IN a, IN b) { return a < b || (isNaN(b) && !isNaN(a)); }

kernel void argsort(device const IN *x [[buffer(0)]],
                    device OUT *out [[buffer(1)]],
                    constant ArgsortParams &p [[buffer(2)]],
                    uint index [[thread_position_in_grid]],
                    uint threads [[threads_per_grid]]) {
  const uint size = p.outer * p.axis * p.inner;
  for (uint e = index; e < size; e += threads) {
    const uint own = e / p.inner % p.axis, start = e - own * p.inner;
    const IN value = x[e];
    uint place = 0;
    for (uint j = 0; j < p.axis; j++) {
      const IN other = x[start + j * p.inner];
      const bool before = p.descending != 0 ? precedes(value, other) : precedes(other, value);
      const bool after = p.descending != 0 ? precedes(other, value) : precedes(value, other);
      if (before || (!after && j < own)) place++;
    }
    if (place < p.count) out[(e / p.inner / p.axis * p.count + place) * p.inner + e % p.inner] = OUT(own);
  }
}
