// Layer normalisation of rows [rows, width] (Ba, Kiros and Hinton, arXiv:1607.06450) and its vjp. A group takes whole rows; see rows.metal.
#include "rows.metal"

struct LayerNormParams { uint rows, width; float eps; };
struct LayerNormVjpParams { uint rows, width; };

// The sum of a value over the threads of a row, in all of them.
inline float rowSum(float value, Share s, uint index, threadgroup float *values) {
  const uint slot = slotOf(s, index);
  values[slot] = value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint span = s.lanes / 2; span > 0; span /= 2) {
    if (s.inRow && s.lane < span) values[slot] += values[slot + span];
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  const float sum = values[s.inRow ? s.place * s.lanes : index];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return sum;
}

kernel void layerNorm(device const float *x [[buffer(0)]],
                      device float *out [[buffer(1)]],
                      device float *rstd [[buffer(2)]],
                      constant LayerNormParams &p [[buffer(3)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint groups [[threadgroups_per_grid]],
                      uint index [[thread_index_in_threadgroup]],
                      uint threads [[threads_per_threadgroup]]) {
  threadgroup float values[WIDTH];
  const Share s = shareRows(p.width, 1, index, threads);
  for (uint first = group * s.together; first < p.rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < p.rows;
    const ulong start = ulong(active ? row : 0) * p.width;
    float sum = 0.0f;
    if (active) for (uint i = s.lane; i < p.width; i += s.lanes) sum += x[start + i];
    const float mean = rowSum(sum, s, index, values) / float(p.width);
    float squares = 0.0f;
    if (active) for (uint i = s.lane; i < p.width; i += s.lanes) {
      const float distance = x[start + i] - mean;
      squares += distance * distance;
    }
    const float scale = 1.0f / sqrt(rowSum(squares, s, index, values) / float(p.width) + p.eps);
    if (!active) continue;
    for (uint i = s.lane; i < p.width; i += s.lanes) out[start + i] = (x[start + i] - mean) * scale;
    if (s.lane == 0) rstd[row] = scale;
  }
}

// rstd * (g - mean(g) - y * mean(g * y)), row by row.
kernel void layerNormVjp(device const float *g [[buffer(0)]],
                         device const float *y [[buffer(1)]],
                         device const float *rstd [[buffer(2)]],
                         device float *out [[buffer(3)]],
                         constant LayerNormVjpParams &p [[buffer(4)]],
                         uint group [[threadgroup_position_in_grid]],
                         uint groups [[threadgroups_per_grid]],
                         uint index [[thread_index_in_threadgroup]],
                         uint threads [[threads_per_threadgroup]]) {
  threadgroup float values[WIDTH];
  const Share s = shareRows(p.width, 1, index, threads);
  for (uint first = group * s.together; first < p.rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < p.rows;
    const ulong start = ulong(active ? row : 0) * p.width;
    float sum = 0.0f, products = 0.0f;
    if (active) for (uint i = s.lane; i < p.width; i += s.lanes) {
      sum += g[start + i];
      products += g[start + i] * y[start + i];
    }
    const float mean = rowSum(sum, s, index, values) / float(p.width);
    const float weighted = rowSum(products, s, index, values) / float(p.width);
    if (!active) continue;
    for (uint i = s.lane; i < p.width; i += s.lanes) out[start + i] = rstd[row] * (g[start + i] - mean - y[start + i] * weighted);
  }
}
