// Sums and extremes over the threads that share a row, for kernels that work on whole rows. Included by families.
#include "rows.metal"
#include "sums.metal"

// The sum of the row's parts, in all of its threads.
inline float rowSum(Sum part, Share s, uint index, threadgroup float *totals, threadgroup float *losses) {
  const uint slot = slotOf(s, index);
  totals[slot] = part.total;
  losses[slot] = part.lost;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint span = s.lanes / 2; span > 0; span /= 2) {
    if (s.inRow && s.lane < span) {
      addTo(part, totals[slot + span]);
      part.lost += losses[slot + span];
      totals[slot] = part.total;
      losses[slot] = part.lost;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  const uint base = s.inRow ? s.place * s.lanes : index;
  Sum whole;
  whole.total = totals[base];
  whole.lost = losses[base];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return valueOf(whole);
}

// The largest of the row's parts, none of which is negative, in all of its threads; NaN where one is.
inline float rowMax(float part, Share s, uint index, threadgroup float *values) {
  const uint slot = slotOf(s, index);
  values[slot] = part;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint span = s.lanes / 2; span > 0; span /= 2) {
    if (s.inRow && s.lane < span) {
      const float other = values[slot + span];
      if (isnan(other) || other > values[slot]) values[slot] = other;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
  const float most = values[s.inRow ? s.place * s.lanes : index];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return most;
}

// A line of elements: where a thread begins, and how it goes on.
struct Line { device const float *x; uint axis, inner; bool active; };

inline Line lineOf(device const float *x, uint row, uint axis, uint inner, bool active) {
  Line line;
  line.x = x + (active ? startOf(row, axis, inner) : 0);
  line.axis = axis;
  line.inner = inner;
  line.active = active;
  return line;
}

inline float at(Line line, uint j) { return line.x[ulong(j) * line.inner]; }

// A sum that leaves the range of float is taken again of smaller terms.
inline float rowMean(Line line, Share s, uint index, threadgroup float *totals, threadgroup float *losses) {
  Sum sum = {0.0f, 0.0f};
  if (line.active) for (uint j = s.lane; j < line.axis; j += s.lanes) addTo(sum, at(line, j));
  const float mean = rowSum(sum, s, index, totals, losses) / float(line.axis);
  const bool again = line.active && !isfinite(mean) && line.axis > 0;
  Sum small = {0.0f, 0.0f};
  if (again) for (uint j = s.lane; j < line.axis; j += s.lanes) addTo(small, at(line, j) / float(line.axis));
  const float retaken = rowSum(small, s, index, totals, losses);
  return again ? retaken : mean;
}

// What the mean, rounded to float, leaves of the elements' own: (x - mean) - rest keeps the digits of small deviations from a large mean.
inline float rowRest(Line line, float mean, Share s, uint index, threadgroup float *totals, threadgroup float *losses) {
  Sum sum = {0.0f, 0.0f};
  if (line.active && isfinite(mean)) for (uint j = s.lane; j < line.axis; j += s.lanes) addTo(sum, at(line, j) - mean);
  const float rest = rowSum(sum, s, index, totals, losses) / float(line.axis);
  return isfinite(rest) ? rest : 0.0f;
}

// The power of two at or below a positive float, by which squares are kept in range.
inline float powerBelow(float v) {
  const float power = as_type<float>(as_type<uint>(v) & 0x7f800000u);
  return power > 0.0f ? power : v;
}

// The sum of squared distances from `center + rest`, over the square of `unit`, which is set.
inline float rowSquares(Line line, float center, float rest, thread float &unit, Share s, uint index, threadgroup float *totals, threadgroup float *losses) {
  float most = 0.0f;
  if (line.active) for (uint j = s.lane; j < line.axis; j += s.lanes) {
    const float distance = fabs((at(line, j) - center) - rest);
    if (isnan(distance) || distance > most) most = distance;
  }
  most = rowMax(most, s, index, totals);
  unit = most > 0.0f && isfinite(most) ? powerBelow(most) : 1.0f;
  Sum sum = {0.0f, 0.0f};
  if (line.active) for (uint j = s.lane; j < line.axis; j += s.lanes) {
    const float distance = ((at(line, j) - center) - rest) / unit;
    addTo(sum, distance * distance);
  }
  return rowSum(sum, s, index, totals, losses);
}
