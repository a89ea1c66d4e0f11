// Windows over each channel by itself: channels-last images [batch, height, width, channels], taps [kernelH, kernelW, channels], windows
// [batch, outH, outW, channels]. Each kernel gives one of the three from the other two. IN and OUT are the element types, set by the backend.

#ifndef IN
#define IN float
#define OUT float
#endif

struct WindowParams {
  uint batch, height, width, channels, outH, outW;
  uint kernelH, kernelW, strideH, strideW, padH, padW, dilationH, dilationW;
};

// Windows' sums of x times taps.
kernel void depthwise(device const IN *x [[buffer(0)]],
                      device const IN *taps [[buffer(1)]],
                      device OUT *out [[buffer(2)]],
                      constant WindowParams &p [[buffer(3)]],
                      uint index [[thread_position_in_grid]],
                      uint threads [[threads_per_grid]]) {
  const uint size = p.batch * p.outH * p.outW * p.channels;
  for (uint i = index; i < size; i += threads) {
    const uint c = i % p.channels, ow = i / p.channels % p.outW, oh = i / (p.channels * p.outW) % p.outH, n = i / (p.channels * p.outW * p.outH);
    IN total = 0;
    for (uint kh = 0; kh < p.kernelH; kh++) {
      const int h = int(oh * p.strideH + kh * p.dilationH) - int(p.padH);
      if (h < 0 || h >= int(p.height)) continue;
      for (uint kw = 0; kw < p.kernelW; kw++) {
        const int w = int(ow * p.strideW + kw * p.dilationW) - int(p.padW);
        if (w < 0 || w >= int(p.width)) continue;
        total += x[((n * p.height + uint(h)) * p.width + uint(w)) * p.channels + c] * taps[(kh * p.kernelW + kw) * p.channels + c];
      }
    }
    out[i] = total;
  }
}

// What each element of the image gets from the windows that see it.
kernel void depthwiseInput(device const IN *g [[buffer(0)]],
                           device const IN *taps [[buffer(1)]],
                           device OUT *out [[buffer(2)]],
                           constant WindowParams &p [[buffer(3)]],
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
        total += g[window * p.channels + c] * taps[(kh * p.kernelW + kw) * p.channels + c];
      }
    }
    out[i] = total;
  }
}

// For each tap the sum over all windows of x times g. Summed by rows of windows, so that rounding does not grow with the whole batch.
kernel void depthwiseTaps(device const IN *x [[buffer(0)]],
                          device const IN *g [[buffer(1)]],
                          device OUT *out [[buffer(2)]],
                          constant WindowParams &p [[buffer(3)]],
                          uint index [[thread_position_in_grid]],
                          uint threads [[threads_per_grid]]) {
  const uint size = p.kernelH * p.kernelW * p.channels;
  for (uint i = index; i < size; i += threads) {
    const uint c = i % p.channels, kw = i / p.channels % p.kernelW, kh = i / (p.channels * p.kernelW);
    IN total = 0;
    for (uint row = 0; row < p.batch * p.outH; row++) {
      const int h = int(row % p.outH * p.strideH + kh * p.dilationH) - int(p.padH);
      if (h < 0 || h >= int(p.height)) continue;
      const uint line = (row / p.outH * p.height + uint(h)) * p.width;
      IN part = 0;
      for (uint ow = 0; ow < p.outW; ow++) {
        const int w = int(ow * p.strideW + kw * p.dilationW) - int(p.padW);
        if (w < 0 || w >= int(p.width)) continue;
        part += x[(line + uint(w)) * p.channels + c] * g[(row * p.outW + ow) * p.channels + c];
      }
      total += part;
    }
    out[i] = total;
  }
}
