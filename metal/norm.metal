// Layer normalisation of rows [rows, width] (Ba, Kiros and Hinton, arXiv:1607.06450) and its vjp. A group takes whole rows; see rows.metal.
#include "row-sums.metal"

struct LayerNormParams { uint rows, width; float eps; };
struct LayerNormVjpParams { uint rows, width; };

kernel void layerNorm(device const float *x [[buffer(0)]],
                      device float *out [[buffer(1)]],
                      device float *rstd [[buffer(2)]],
                      constant LayerNormParams &p [[buffer(3)]],
                      uint group [[threadgroup_position_in_grid]],
                      uint groups [[threadgroups_per_grid]],
                      uint index [[thread_index_in_threadgroup]],
                      uint threads [[threads_per_threadgroup]]) {
  threadgroup float totals[WIDTH], losses[WIDTH];
  const Share s = shareRows(p.width, 1, index, threads);
  for (uint first = group * s.together; first < p.rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < p.rows;
    const Line line = lineOf(x, row, p.width, 1, active);
    const float mean = rowMean(line, s, index, totals, losses);
    const float rest = rowRest(line, mean, s, index, totals, losses);
    float unit;
    const float squares = rowSquares(line, mean, rest, unit, s, index, totals, losses);
    // In units of `unit`, whose square may not be a float. Below 1 it is, or vanishes beside eps.
    const float scale = unit > 1.0f ? 1.0f / sqrt(squares / float(p.width) + p.eps / unit / unit) / unit
                                    : 1.0f / sqrt(unit * (squares / float(p.width)) * unit + p.eps);
    if (!active) continue;
    device float *to = out + ulong(row) * p.width;
    for (uint i = s.lane; i < p.width; i += s.lanes) to[i] = ((at(line, i) - mean) - rest) * scale;
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
  threadgroup float totals[WIDTH], losses[WIDTH];
  const Share s = shareRows(p.width, 1, index, threads);
  for (uint first = group * s.together; first < p.rows; first += groups * s.together) {
    const uint row = first + s.place;
    const bool active = s.inRow && row < p.rows;
    const ulong start = ulong(active ? row : 0) * p.width;
    Sum sum = {0.0f, 0.0f}, products = {0.0f, 0.0f};
    if (active) for (uint i = s.lane; i < p.width; i += s.lanes) {
      addTo(sum, g[start + i]);
      addTo(products, g[start + i] * y[start + i]);
    }
    const float mean = rowSum(sum, s, index, totals, losses) / float(p.width);
    const float weighted = rowSum(products, s, index, totals, losses) / float(p.width);
    if (!active) continue;
    for (uint i = s.lane; i < p.width; i += s.lanes) out[start + i] = rstd[row] * (g[start + i] - mean - y[start + i] * weighted);
  }
}
