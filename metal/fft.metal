// Fourier transforms of real rows by their definition: a thread for each bin or sample. The host has the fast ones.
#include "sums.metal"

struct FftParams {
  uint rows, samples, bins, n;
  float edge, inner;
};

// (cos, sin) of t nths of a turn, t < n. The angle is brought within an eighth of a turn in whole numbers, so that no digit is lost.
inline float2 rootOf(uint t, uint n) {
  const bool below = 2 * t > n;
  uint a = below ? 2 * (n - t) : 2 * t;
  const bool left = 2 * a > n;
  if (left) a = n - a;
  const bool steep = 4 * a > n;
  const float angle = 3.14159265358979f * (steep ? 0.5f * (float(n - 2 * a) / float(n)) : float(a) / float(n));
  const float s = sin(angle), c = cos(angle);
  const float x = steep ? s : c, y = steep ? c : s;
  return float2(left ? -x : x, below ? -y : y);
}

inline bool isEdge(uint k, uint n) { return k == 0 || 2 * k == n; }

// out[rows, bins, 2]: x[rows, samples], filled up with zeros to n, times `edge` or `inner`.
kernel void rfft(device const float *x [[buffer(0)]],
                 device float *out [[buffer(1)]],
                 constant FftParams &p [[buffer(2)]],
                 uint index [[thread_position_in_grid]],
                 uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.rows * p.bins; i += threads) {
    const uint k = i % p.bins, start = i / p.bins * p.samples;
    Sum re = {0.0f, 0.0f}, im = {0.0f, 0.0f};
    uint t = 0;
    for (uint j = 0; j < p.samples; j++) {
      const float2 root = rootOf(t, p.n);
      addTo(re, x[start + j] * root.x);
      addTo(im, -x[start + j] * root.y);
      t = t + k >= p.n ? t + k - p.n : t + k;
    }
    const float scale = isEdge(k, p.n) ? p.edge : p.inner;
    out[2 * i] = scale * valueOf(re);
    out[2 * i + 1] = scale * valueOf(im);
  }
}

// out[rows, samples]: the bins x[rows, bins, 2] times `edge` or `inner` and their roots, real parts. The adjoint of `rfft`.
kernel void irfft(device const float *x [[buffer(0)]],
                  device float *out [[buffer(1)]],
                  constant FftParams &p [[buffer(2)]],
                  uint index [[thread_position_in_grid]],
                  uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.rows * p.samples; i += threads) {
    const uint j = i % p.samples, start = i / p.samples * p.bins;
    Sum sum = {0.0f, 0.0f};
    uint t = 0;
    for (uint k = 0; k < p.bins; k++) {
      const float2 root = rootOf(t, p.n);
      const uint at = 2 * (start + k);
      if (isEdge(k, p.n)) {
        addTo(sum, p.edge * x[at] * root.x);
      } else {
        addTo(sum, p.inner * x[at] * root.x);
        addTo(sum, -p.inner * x[at + 1] * root.y);
      }
      t = t + j >= p.n ? t + j - p.n : t + j;
    }
    out[i] = valueOf(sum);
  }
}
