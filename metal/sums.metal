#include <metal_stdlib>
using namespace metal;

// A sum with what rounding has lost of it: right to its last digit or two at any length. There is no double here.
struct Sum { float total, lost; };

inline void addTo(thread Sum &sum, float v) {
  const float next = sum.total + v, back = next - sum.total;
  sum.lost += (sum.total - (next - back)) + (v - back);
  sum.total = next;
}

inline float valueOf(Sum sum) { return isfinite(sum.lost) ? sum.total + sum.lost : sum.total; }
