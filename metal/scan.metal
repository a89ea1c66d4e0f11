// Running extremes and recurrences along the middle axis of [outer, axis, inner]; a thread takes a line. Running sums are in reduce.metal.
#include "math.metal"

#ifndef IN
#define IN float
#define OUT float
#endif

struct CummaxParams { uint outer, axis, inner; };
struct RecurrenceParams { uint outer, axis, inner, reverse; };

inline ulong beginningOf(uint line, uint axis, uint inner) { return ulong(line / inner) * axis * inner + line % inner; }

// The largest so far; NaN from the first one on.
kernel void cummax(device const float *x [[buffer(0)]],
                   device float *out [[buffer(1)]],
                   constant CummaxParams &p [[buffer(2)]],
                   uint index [[thread_position_in_grid]],
                   uint threads [[threads_per_grid]]) {
  for (uint line = index; line < p.outer * p.inner; line += threads) {
    ulong at = beginningOf(line, p.axis, p.inner);
    float most = -INFINITY;
    for (uint j = 0; j < p.axis; j++, at += p.inner) {
      most = larger(most, x[at]);
      out[at] = most;
    }
  }
}

// out[j] = x[j] + factor[j] out[j - 1], where the first has none before it; backwards with `reverse`.
kernel void recurrence(device const IN *x [[buffer(0)]],
                       device const IN *factor [[buffer(1)]],
                       device OUT *out [[buffer(2)]],
                       constant RecurrenceParams &p [[buffer(3)]],
                       uint index [[thread_position_in_grid]],
                       uint threads [[threads_per_grid]]) {
  for (uint line = index; line < p.outer * p.inner; line += threads) {
    const ulong start = beginningOf(line, p.axis, p.inner);
    IN last = 0;
    for (uint j = 0; j < p.axis; j++) {
      const ulong at = start + ulong(p.reverse != 0 ? p.axis - 1 - j : j) * p.inner;
      last = j == 0 ? x[at] : x[at] + factor[at] * last;
      out[at] = last;
    }
  }
}
