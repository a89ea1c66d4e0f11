// Normalised exponentials along the middle axis of [outer, axis, inner]. A group takes whole rows; see rows.metal.
#include "math.metal"
#include "rows.metal"

struct SoftmaxParams { uint outer, axis, inner; };

// The largest element of a row and the sum of exp(x - largest), in every thread of the row.
struct Norm { float top, total; };

inline Norm normOf(device const float *line, uint axis, uint inner, Share s, bool active, uint index, threadgroup float *values) {
  const uint slot = slotOf(s, index), base = s.inRow ? s.place * s.lanes : index;
  Norm norm;
  norm.top = -INFINITY;
  norm.total = 0.0f;
  if (active) for (uint j = s.lane; j < axis; j += s.lanes) norm.top = larger(norm.top, line[ulong(j) * inner]);
  values[slot] = norm.top;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint span = s.lanes / 2; span > 0; span /= 2) {
    if (s.inRow && s.lane < span) values[slot] = larger(values[slot], values[slot + span]);
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  norm.top = values[base];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  if (active) for (uint j = s.lane; j < axis; j += s.lanes) norm.total += exp(line[ulong(j) * inner] - norm.top);
  values[slot] = norm.total;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint span = s.lanes / 2; span > 0; span /= 2) {
    if (s.inRow && s.lane < span) values[slot] += values[slot + span];
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  norm.total = values[base];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return norm;
}

kernel void softmax(device const float *x [[buffer(0)]],
                    device float *out [[buffer(1)]],
                    constant SoftmaxParams &p [[buffer(2)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint index [[thread_index_in_threadgroup]],
                    uint width [[threads_per_threadgroup]]) {
  threadgroup float values[WIDTH];
  const Share s = shareRows(p.axis, p.inner, index, width);
  const uint rows = p.outer * p.inner;
  for (uint first = group * s.together; first < rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < rows;
    const ulong start = active ? startOf(row, p.axis, p.inner) : 0;
    const Norm norm = normOf(x + start, p.axis, p.inner, s, active, index, values);
    if (!active) continue;
    for (uint j = s.lane; j < p.axis; j += s.lanes) {
      const ulong at = start + ulong(j) * p.inner;
      out[at] = exp(x[at] - norm.top) / norm.total;
    }
  }
}

kernel void logSoftmax(device const float *x [[buffer(0)]],
                       device float *out [[buffer(1)]],
                       constant SoftmaxParams &p [[buffer(2)]],
                       uint group [[threadgroup_position_in_grid]],
                       uint groups [[threadgroups_per_grid]],
                       uint index [[thread_index_in_threadgroup]],
                       uint width [[threads_per_threadgroup]]) {
  threadgroup float values[WIDTH];
  const Share s = shareRows(p.axis, p.inner, index, width);
  const uint rows = p.outer * p.inner;
  for (uint first = group * s.together; first < rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < rows;
    const ulong start = active ? startOf(row, p.axis, p.inner) : 0;
    const Norm norm = normOf(x + start, p.axis, p.inner, s, active, index, values);
    if (!active) continue;
    const float logTotal = log(norm.total);
    for (uint j = s.lane; j < p.axis; j += s.lanes) {
      const ulong at = start + ulong(j) * p.inner;
      out[at] = (x[at] - norm.top) - logTotal;
    }
  }
}
