// The vjp of softmax along the middle axis of y[outer, axis, inner], its result: out = g y - y sum(g y). A group takes whole rows; see rows.metal.
#include "row-sums.metal"

struct SoftmaxVjpParams { uint outer, axis, inner; };

// A product with 0 is 0, whatever the other factor: what has no probability has no part in the derivative.
inline float productOf(float a, float b) { return a == 0.0f || b == 0.0f ? 0.0f : a * b; }

kernel void softmaxVjp(device const float *g [[buffer(0)]],
                       device const float *y [[buffer(1)]],
                       device float *out [[buffer(2)]],
                       constant SoftmaxVjpParams &p [[buffer(3)]],
                       uint group [[threadgroup_position_in_grid]],
                       uint groups [[threadgroups_per_grid]],
                       uint index [[thread_index_in_threadgroup]],
                       uint width [[threads_per_threadgroup]]) {
  threadgroup float totals[WIDTH], losses[WIDTH];
  const Share s = shareRows(p.axis, p.inner, index, width);
  const uint rows = p.outer * p.inner;
  for (uint first = group * s.together; first < rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < rows;
    const ulong start = active ? startOf(row, p.axis, p.inner) : 0;
    Sum sum = {0.0f, 0.0f};
    if (active) for (uint j = s.lane; j < p.axis; j += s.lanes) {
      const ulong at = start + ulong(j) * p.inner;
      addTo(sum, productOf(g[at], y[at]));
    }
    const float share = rowSum(sum, s, index, totals, losses);
    if (!active) continue;
    for (uint j = s.lane; j < p.axis; j += s.lanes) {
      const ulong at = start + ulong(j) * p.inner;
      out[at] = productOf(g[at], y[at]) - productOf(y[at], share);
    }
  }
}
