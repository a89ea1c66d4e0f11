// Windows over channels-last images [batch, height, width, channels]: patches side by side, their adjoint, and max pooling. IN and OUT are
// the element types, set by the backend.
#include "math.metal"

#ifndef IN
#define IN float
#define OUT float
#endif

struct WindowParams {
  uint batch, height, width, channels, outH, outW;
  uint kernelH, kernelW, strideH, strideW, padH, padW, dilationH, dilationW;
};

// out [batch, outH, outW, kernelH, kernelW, channels]; 0 beyond the edges.
kernel void unfold(device const IN *x [[buffer(0)]],
                   device OUT *out [[buffer(1)]],
                   constant WindowParams &p [[buffer(2)]],
                   uint index [[thread_position_in_grid]],
                   uint threads [[threads_per_grid]]) {
  const uint size = p.batch * p.outH * p.outW * p.kernelH * p.kernelW * p.channels;
  for (uint i = index; i < size; i += threads) {
    uint rest = i / p.channels;
    const uint kw = rest % p.kernelW;
    rest /= p.kernelW;
    const uint kh = rest % p.kernelH;
    rest /= p.kernelH;
    const uint ow = rest % p.outW;
    rest /= p.outW;
    const uint oh = rest % p.outH, n = rest / p.outH;
    const int h = int(oh * p.strideH + kh * p.dilationH) - int(p.padH), w = int(ow * p.strideW + kw * p.dilationW) - int(p.padW);
    const bool inside = h >= 0 && h < int(p.height) && w >= 0 && w < int(p.width);
    out[i] = inside ? x[((n * p.height + uint(h)) * p.width + uint(w)) * p.channels + i % p.channels] : IN(0);
  }
}

// The adjoint: each element of the image collects what the patches that saw it hold, always in the same order.
kernel void fold(device const IN *patches [[buffer(0)]],
                 device OUT *out [[buffer(1)]],
                 constant WindowParams &p [[buffer(2)]],
                 uint index [[thread_position_in_grid]],
                 uint threads [[threads_per_grid]]) {
  const uint size = p.batch * p.height * p.width * p.channels;
  for (uint i = index; i < size; i += threads) {
    const uint c = i % p.channels, w = i / p.channels % p.width, h = i / (p.channels * p.width) % p.height, n = i / (p.channels * p.width * p.height);
    IN total = 0;
    for (uint kh = 0; kh < p.kernelH; kh++) {
      const int y = int(h + p.padH) - int(kh * p.dilationH);
      if (y < 0 || uint(y) % p.strideH != 0 || uint(y) / p.strideH >= p.outH) continue;
      for (uint kw = 0; kw < p.kernelW; kw++) {
        const int x = int(w + p.padW) - int(kw * p.dilationW);
        if (x < 0 || uint(x) % p.strideW != 0 || uint(x) / p.strideW >= p.outW) continue;
        const uint window = (n * p.outH + uint(y) / p.strideH) * p.outW + uint(x) / p.strideW;
        total += patches[((window * p.kernelH + kh) * p.kernelW + kw) * p.channels + c];
      }
    }
    out[i] = total;
  }
}

// For each window and channel the first largest element within the image, and its position h * width + w; NaN counts as largest.
kernel void maxPool(device const IN *x [[buffer(0)]],
                    device OUT *out [[buffer(1)]],
                    device int *places [[buffer(2)]],
                    constant WindowParams &p [[buffer(3)]],
                    uint index [[thread_position_in_grid]],
                    uint threads [[threads_per_grid]]) {
  const uint size = p.batch * p.outH * p.outW * p.channels;
  for (uint i = index; i < size; i += threads) {
    const uint c = i % p.channels, ow = i / p.channels % p.outW, oh = i / (p.channels * p.outW) % p.outH, n = i / (p.channels * p.outW * p.outH);
    int best = -1;
    IN held = 0;
    for (uint kh = 0; kh < p.kernelH; kh++) {
      for (uint kw = 0; kw < p.kernelW; kw++) {
        const int h = int(oh * p.strideH + kh * p.dilationH) - int(p.padH), w = int(ow * p.strideW + kw * p.dilationW) - int(p.padW);
        if (h < 0 || h >= int(p.height) || w < 0 || w >= int(p.width)) continue;
        const IN value = x[((n * p.height + uint(h)) * p.width + uint(w)) * p.channels + c];
        if (best >= 0 && (isNaN(held) || !(value > held || isNaN(value)))) continue;
        best = h * int(p.width) + w;
        held = value;
      }
    }
    out[i] = held;
    places[i] = best;
  }
}

// The vjp: each element of the image collects the cotangents of the windows whose largest one it is, always in the same order.
kernel void maxPoolVjp(device const IN *g [[buffer(0)]],
                       device const int *places [[buffer(1)]],
                       device OUT *out [[buffer(2)]],
                       constant WindowParams &p [[buffer(3)]],
                       uint index [[thread_position_in_grid]],
                       uint threads [[threads_per_grid]]) {
  const uint size = p.batch * p.height * p.width * p.channels;
  for (uint i = index; i < size; i += threads) {
    const uint c = i % p.channels, w = i / p.channels % p.width, h = i / (p.channels * p.width) % p.height, n = i / (p.channels * p.width * p.height);
    IN total = 0;
    for (uint kh = p.kernelH; kh-- > 0;) {
      const int y = int(h + p.padH) - int(kh * p.dilationH);
      if (y < 0 || uint(y) % p.strideH != 0 || uint(y) / p.strideH >= p.outH) continue;
      for (uint kw = p.kernelW; kw-- > 0;) {
        const int x = int(w + p.padW) - int(kw * p.dilationW);
        if (x < 0 || uint(x) % p.strideW != 0 || uint(x) / p.strideW >= p.outW) continue;
        const uint at = ((n * p.outH + uint(y) / p.strideH) * p.outW + uint(x) / p.strideW) * p.channels + c;
        if (places[at] == int(h * p.width + w)) total += g[at];
      }
    }
    out[i] = total;
  }
}
