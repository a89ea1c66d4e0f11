// Mean, deviations from it, variance and Euclidean norm along the middle axis of [outer, axis, inner]. A group takes whole rows; see rows.metal.
#include "row-sums.metal"

struct MomentParams { uint outer, axis, inner; };
struct VarianceParams { uint outer, axis, inner; float correction; };
struct NormParams { uint outer, axis, inner; float scale; };

kernel void mean(device const float *x [[buffer(0)]],
                 device float *out [[buffer(1)]],
                 constant MomentParams &p [[buffer(2)]],
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
    const Line line = lineOf(x, row, p.axis, p.inner, active);
    const float mean = rowMean(line, s, index, totals, losses);
    if (active && s.lane == 0) out[row] = mean;
  }
}

// x less its mean.
kernel void center(device const float *x [[buffer(0)]],
                   device float *out [[buffer(1)]],
                   constant MomentParams &p [[buffer(2)]],
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
    const Line line = lineOf(x, row, p.axis, p.inner, active);
    const float mean = rowMean(line, s, index, totals, losses);
    const float rest = rowRest(line, mean, s, index, totals, losses);
    device float *to = out + (active ? startOf(row, p.axis, p.inner) : 0);
    if (active) for (uint j = s.lane; j < p.axis; j += s.lanes) to[ulong(j) * p.inner] = (at(line, j) - mean) - rest;
  }
}

kernel void variance(device const float *x [[buffer(0)]],
                     device float *out [[buffer(1)]],
                     constant VarianceParams &p [[buffer(2)]],
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
    const Line line = lineOf(x, row, p.axis, p.inner, active);
    const float mean = rowMean(line, s, index, totals, losses);
    const float rest = rowRest(line, mean, s, index, totals, losses);
    float unit;
    const float squares = rowSquares(line, mean, rest, unit, s, index, totals, losses);
    if (active && s.lane == 0) out[row] = unit * (squares / (float(p.axis) - p.correction)) * unit;
  }
}

// The square root of the sum of squares, times `scale`.
kernel void norm(device const float *x [[buffer(0)]],
                 device float *out [[buffer(1)]],
                 constant NormParams &p [[buffer(2)]],
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
    const Line line = lineOf(x, row, p.axis, p.inner, active);
    float unit;
    const float squares = rowSquares(line, 0.0f, 0.0f, unit, s, index, totals, losses);
    if (active && s.lane == 0) out[row] = sqrt(squares) * (unit * p.scale);
  }
}
