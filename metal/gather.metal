// Reading and adding at positions along the middle axis of [outer, axis, inner]. The positions have been checked on the host. IN and OUT
// are the element types, set by the backend.
#include <metal_stdlib>
using namespace metal;

#ifndef IN
#define IN float
#define OUT float
#endif

struct GatherParams { uint outer, axis, inner, count; };

// out[o, j, i] = x[o, indices[j], i]
kernel void take(device const IN *x [[buffer(0)]],
                 device const int *indices [[buffer(1)]],
                 device OUT *out [[buffer(2)]],
                 constant GatherParams &p [[buffer(3)]],
                 uint index [[thread_position_in_grid]],
                 uint threads [[threads_per_grid]]) {
  for (uint e = index; e < p.outer * p.count * p.inner; e += threads) {
    const uint i = e % p.inner, j = e / p.inner % p.count, o = e / (p.inner * p.count);
    out[e] = x[(o * p.axis + uint(indices[j])) * p.inner + i];
  }
}

// out[o, indices[j], i] += x[o, j, i]: a thread goes through the positions in order, so that sums do not depend on chance.
kernel void takeAdjoint(device const IN *x [[buffer(0)]],
                        device const int *indices [[buffer(1)]],
                        device OUT *out [[buffer(2)]],
                        constant GatherParams &p [[buffer(3)]],
                        uint index [[thread_position_in_grid]],
                        uint threads [[threads_per_grid]]) {
  for (uint e = index; e < p.outer * p.inner; e += threads) {
    const uint i = e % p.inner, o = e / p.inner;
    for (uint j = 0; j < p.count; j++) out[(o * p.axis + uint(indices[j])) * p.inner + i] += x[(o * p.count + j) * p.inner + i];
  }
}

// out[o, j, i] = x[o, indices[o, j, i], i]
kernel void takeAlongAxis(device const IN *x [[buffer(0)]],
                          device const int *indices [[buffer(1)]],
                          device OUT *out [[buffer(2)]],
                          constant GatherParams &p [[buffer(3)]],
                          uint index [[thread_position_in_grid]],
                          uint threads [[threads_per_grid]]) {
  for (uint e = index; e < p.outer * p.count * p.inner; e += threads) {
    const uint i = e % p.inner, o = e / (p.inner * p.count);
    out[e] = x[(o * p.axis + uint(indices[e])) * p.inner + i];
  }
}

// out[o, indices[o, j, i], i] += x[o, j, i]
kernel void scatterAlongAxis(device const IN *x [[buffer(0)]],
                             device const int *indices [[buffer(1)]],
                             device OUT *out [[buffer(2)]],
                             constant GatherParams &p [[buffer(3)]],
                             uint index [[thread_position_in_grid]],
                             uint threads [[threads_per_grid]]) {
  for (uint e = index; e < p.outer * p.inner; e += threads) {
    const uint i = e % p.inner, o = e / p.inner;
    for (uint j = 0; j < p.count; j++) {
      const uint from = (o * p.count + j) * p.inner + i;
      out[(o * p.axis + uint(indices[from])) * p.inner + i] += x[from];
    }
  }
}
