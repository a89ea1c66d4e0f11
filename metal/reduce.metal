// Reductions along the middle axis of [outer, axis, inner], for float and int. A group takes whole rows; see rows.metal.
#include "math.metal"
#include "rows.metal"

#ifndef IN
#define IN float
#define OUT float
#endif

struct ReduceParams { uint outer, axis, inner; };
struct CumsumParams { uint outer, axis, inner, reverse; };

// A float sum is kept together with what rounding has lost, so that it is right to its last digit or two at any length.
inline void addTo(thread float &sum, thread float &lost, float v) {
  const float next = sum + v, back = next - sum;
  lost += (sum - (next - back)) + (v - back);
  sum = next;
}
inline void addTo(thread int &sum, thread int &, int v) { sum += v; }
inline float totalOf(float sum, float lost) { return isfinite(lost) ? sum + lost : sum; }
inline int totalOf(int sum, int) { return sum; }

kernel void sum(device const IN *x [[buffer(0)]],
                device OUT *out [[buffer(1)]],
                constant ReduceParams &p [[buffer(2)]],
                uint group [[threadgroup_position_in_grid]],
                uint groups [[threadgroups_per_grid]],
                uint index [[thread_index_in_threadgroup]],
                uint width [[threads_per_threadgroup]]) {
  threadgroup IN sums[WIDTH], losses[WIDTH];
  const Share s = shareRows(p.axis, p.inner, index, width);
  const uint slot = slotOf(s, index), rows = p.outer * p.inner;
  for (uint first = group * s.together; first < rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < rows;
    IN total = 0, lost = 0;
    if (active) {
      device const IN *values = x + startOf(row, p.axis, p.inner);
      for (uint j = s.lane; j < p.axis; j += s.lanes) addTo(total, lost, values[ulong(j) * p.inner]);
    }
    sums[slot] = total;
    losses[slot] = lost;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint span = s.lanes / 2; span > 0; span /= 2) {
      if (s.inRow && s.lane < span) {
        addTo(total, lost, sums[slot + span]);
        lost += losses[slot + span];
        sums[slot] = total;
        losses[slot] = lost;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (active && s.lane == 0) out[row] = totalOf(total, lost);
  }
}

// The more extreme of two elements, and where it was: NaN before all, then the first of equals.
struct Extreme { IN value; uint at; };

inline bool beats(Extreme a, Extreme b, bool largest) {
  const bool oddA = isNaN(a.value), oddB = isNaN(b.value);
  if (oddA || oddB) return oddA && (!oddB || a.at < b.at);
  if (a.value == b.value) return a.at < b.at;
  return largest ? a.value > b.value : a.value < b.value;
}

// The extremes of all rows, or where they are. All threads of a group take part, for the barriers' sake.
inline void reduceExtremes(device const IN *x, device OUT *out, constant ReduceParams &p, bool largest, bool position, Share s,
                           uint group, uint groups, uint index, threadgroup IN *values, threadgroup uint *positions) {
  const uint nothing = 0xffffffffu;
  const uint slot = slotOf(s, index), rows = p.outer * p.inner;
  for (uint first = group * s.together; first < rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < rows;
    Extreme best;
    best.value = 0;
    best.at = nothing;
    if (active) {
      device const IN *line = x + startOf(row, p.axis, p.inner);
      for (uint j = s.lane; j < p.axis; j += s.lanes) {
        Extreme next;
        next.value = line[ulong(j) * p.inner];
        next.at = j;
        if (best.at == nothing || beats(next, best, largest)) best = next;
      }
    }
    values[slot] = best.value;
    positions[slot] = best.at;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint span = s.lanes / 2; span > 0; span /= 2) {
      if (s.inRow && s.lane < span) {
        Extreme other;
        other.value = values[slot + span];
        other.at = positions[slot + span];
        if (other.at != nothing && (best.at == nothing || beats(other, best, largest))) best = other;
        values[slot] = best.value;
        positions[slot] = best.at;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (active && s.lane == 0) out[row] = position ? OUT(best.at) : OUT(best.value);
  }
}

kernel void max(device const IN *x [[buffer(0)]],
                device OUT *out [[buffer(1)]],
                constant ReduceParams &p [[buffer(2)]],
                uint group [[threadgroup_position_in_grid]],
                uint groups [[threadgroups_per_grid]],
                uint index [[thread_index_in_threadgroup]],
                uint width [[threads_per_threadgroup]]) {
  threadgroup IN values[WIDTH];
  threadgroup uint positions[WIDTH];
  reduceExtremes(x, out, p, true, false, shareRows(p.axis, p.inner, index, width), group, groups, index, values, positions);
}

kernel void min(device const IN *x [[buffer(0)]],
                device OUT *out [[buffer(1)]],
                constant ReduceParams &p [[buffer(2)]],
                uint group [[threadgroup_position_in_grid]],
                uint groups [[threadgroups_per_grid]],
                uint index [[thread_index_in_threadgroup]],
                uint width [[threads_per_threadgroup]]) {
  threadgroup IN values[WIDTH];
  threadgroup uint positions[WIDTH];
  reduceExtremes(x, out, p, false, false, shareRows(p.axis, p.inner, index, width), group, groups, index, values, positions);
}

kernel void argmax(device const IN *x [[buffer(0)]],
                   device OUT *out [[buffer(1)]],
                   constant ReduceParams &p [[buffer(2)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint groups [[threadgroups_per_grid]],
                   uint index [[thread_index_in_threadgroup]],
                   uint width [[threads_per_threadgroup]]) {
  threadgroup IN values[WIDTH];
  threadgroup uint positions[WIDTH];
  reduceExtremes(x, out, p, true, true, shareRows(p.axis, p.inner, index, width), group, groups, index, values, positions);
}

kernel void argmin(device const IN *x [[buffer(0)]],
                   device OUT *out [[buffer(1)]],
                   constant ReduceParams &p [[buffer(2)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint groups [[threadgroups_per_grid]],
                   uint index [[thread_index_in_threadgroup]],
                   uint width [[threads_per_threadgroup]]) {
  threadgroup IN values[WIDTH];
  threadgroup uint positions[WIDTH];
  reduceExtremes(x, out, p, false, true, shareRows(p.axis, p.inner, index, width), group, groups, index, values, positions);
}

kernel void logSumExp(device const IN *x [[buffer(0)]],
                      device OUT *out [[buffer(1)]],
                      constant ReduceParams &p [[buffer(2)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint groups [[threadgroups_per_grid]],
                      uint index [[thread_index_in_threadgroup]],
                      uint width [[threads_per_threadgroup]]) {
  threadgroup float values[WIDTH];
  const Share s = shareRows(p.axis, p.inner, index, width);
  const uint slot = slotOf(s, index), base = s.inRow ? s.place * s.lanes : index, rows = p.outer * p.inner;
  for (uint first = group * s.together; first < rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < rows;
    device const IN *line = x + (active ? startOf(row, p.axis, p.inner) : 0);
    float top = -INFINITY;
    if (active) for (uint j = s.lane; j < p.axis; j += s.lanes) top = larger(top, float(line[ulong(j) * p.inner]));
    values[slot] = top;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint span = s.lanes / 2; span > 0; span /= 2) {
      if (s.inRow && s.lane < span) values[slot] = larger(values[slot], values[slot + span]);
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    top = values[base];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float total = 0.0f;
    if (active && isfinite(top)) for (uint j = s.lane; j < p.axis; j += s.lanes) total += exp(float(line[ulong(j) * p.inner]) - top);
    values[slot] = total;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint span = s.lanes / 2; span > 0; span /= 2) {
      if (s.inRow && s.lane < span) values[slot] += values[slot + span];
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    if (active && s.lane == 0) out[row] = OUT(isfinite(top) ? top + log(values[slot]) : top);
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}

// Running sums; a thread takes a row.
kernel void cumsum(device const IN *x [[buffer(0)]],
                   device OUT *out [[buffer(1)]],
                   constant CumsumParams &p [[buffer(2)]],
                   uint index [[thread_position_in_grid]],
                   uint threads [[threads_per_grid]]) {
  for (uint row = index; row < p.outer * p.inner; row += threads) {
    const ulong start = startOf(row, p.axis, p.inner);
    IN total = 0, lost = 0;
    for (uint j = 0; j < p.axis; j++) {
      const ulong at = start + ulong(p.reverse != 0 ? p.axis - 1 - j : j) * p.inner;
      addTo(total, lost, x[at]);
      out[at] = totalOf(total, lost);
    }
  }
}
