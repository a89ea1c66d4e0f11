// One frame of an LSTM or a GRU for a whole batch, and its vjp; a thread takes a hidden unit of a sequence, neighbours the same unit of other sequences, so
// that they read the same weights. Layouts are those of wasm/recurrent.ts. `place` counts the frames that came before, in the order of reading; for
// the vjps it counts backwards, and the place behind the last is the start's.
#include <metal_stdlib>
using namespace metal;

struct CellParams { uint frames, batch, hidden, reverse, place; };

inline float sigmoid(float x) {
  const float e = exp(-fabs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

kernel void lstmCell(device const float *projected [[buffer(0)]],
                     device const float *weight [[buffer(1)]],
                     device const float *bias [[buffer(2)]],
                     device const float *start [[buffer(3)]],
                     device const int *counts [[buffer(4)]],
                     device float *states [[buffer(5)]],
                     device float *gates [[buffer(6)]],
                     constant CellParams &p [[buffer(7)]],
                     uint index [[thread_position_in_grid]],
                     uint threads [[threads_per_grid]]) {
  const uint width = p.hidden;
  const uint slot = p.batch * width;
  const uint cells = (p.frames + 1) * slot;
  const uint t = p.reverse != 0 ? p.frames - 1 - p.place : p.place;
  const uint before = (t + p.reverse) * slot;
  const uint after = (t + 1 - p.reverse) * slot;
  for (uint unit = index; unit < slot; unit += threads) {
    const uint n = unit % p.batch;
    const uint j = unit / p.batch;
    const uint own = n * width + j;
    if (p.place == 0) {
      states[before + own] = start[own];
      states[cells + before + own] = start[slot + own];
    }
    const float c0 = p.place == 0 ? start[slot + own] : states[cells + before + own];
    if (int(t) >= counts[n]) {
      states[after + own] = p.place == 0 ? start[own] : states[before + own];
      states[cells + after + own] = c0;
      continue;
    }
    const uint row = (t * p.batch + n) * 4 * width + j;
    float4 sums = float4(bias[j], bias[width + j], bias[2 * width + j], bias[3 * width + j]);
    for (uint k = 0; k < width; k++) {
      const float h = p.place == 0 ? start[n * width + k] : states[before + n * width + k];
      sums += h * float4(weight[j * width + k], weight[(width + j) * width + k], weight[(2 * width + j) * width + k], weight[(3 * width + j) * width + k]);
    }
    const float i = sigmoid(projected[row] + sums.x);
    const float f = sigmoid(projected[row + width] + sums.y);
    const float g = tanh(projected[row + 2 * width] + sums.z);
    const float o = sigmoid(projected[row + 3 * width] + sums.w);
    const float c = f * c0 + i * g;
    gates[row] = i;
    gates[row + width] = f;
    gates[row + 2 * width] = g;
    gates[row + 3 * width] = o;
    states[cells + after + own] = c;
    states[after + own] = o * tanh(c);
  }
}

// `carried` holds what is passed on to the frame before, but for the product, which is formed when that frame's turn comes.
kernel void lstmCellVjp(device const float *g [[buffer(0)]],
                        device const float *states [[buffer(1)]],
                        device const float *gates [[buffer(2)]],
                        device const float *weight [[buffer(3)]],
                        device const int *counts [[buffer(4)]],
                        device float *projected [[buffer(5)]],
                        device float *carried [[buffer(6)]],
                        constant CellParams &p [[buffer(7)]],
                        uint index [[thread_position_in_grid]],
                        uint threads [[threads_per_grid]]) {
  const uint width = p.hidden;
  const uint slot = p.batch * width;
  const uint cells = (p.frames + 1) * slot;
  const bool isStart = p.place == p.frames;
  // The frame, in the order of reading; where its states lie, and the frame that was passed before.
  const uint k = p.frames - 1 - min(p.place, p.frames - 1);
  const uint t = p.reverse != 0 ? p.frames - 1 - k : k;
  const uint before = (t + p.reverse) * slot;
  const uint after = isStart ? before : (t + 1 - p.reverse) * slot;
  const uint passed = isStart ? t : t + 1 - 2 * p.reverse;
  for (uint unit = index; unit < slot; unit += threads) {
    const uint n = unit % p.batch;
    const uint j = unit / p.batch;
    const uint own = n * width + j;
    float dh = g[after + own];
    float dc = g[cells + after + own];
    if (p.place > 0) {
      dh += carried[own];
      dc += carried[slot + own];
      const uint row = (passed * p.batch + n) * 4 * width;
      for (uint q = 0; q < 4 * width; q++) { dh += projected[row + q] * weight[q * width + j]; }
    }
    if (isStart) {
      carried[own] = dh;
      carried[slot + own] = dc;
      continue;
    }
    const uint row = (t * p.batch + n) * 4 * width + j;
    if (int(t) >= counts[n]) {
      for (uint q = 0; q < 4; q++) { projected[row + q * width] = 0.0f; }
      carried[own] = dh;
      carried[slot + own] = dc;
      continue;
    }
    const float i = gates[row];
    const float f = gates[row + width];
    const float c = gates[row + 2 * width];
    const float o = gates[row + 3 * width];
    const float shown = tanh(states[cells + after + own]);
    dc += dh * o * (1.0f - shown * shown);
    projected[row] = dc * c * (i * (1.0f - i));
    projected[row + width] = dc * states[cells + before + own] * (f * (1.0f - f));
    projected[row + 2 * width] = dc * i * (1.0f - c * c);
    projected[row + 3 * width] = dh * shown * (o * (1.0f - o));
    carried[own] = 0.0f;
    carried[slot + own] = dc * f;
  }
}

kernel void gruCell(device const float *projected [[buffer(0)]],
                    device const float *weight [[buffer(1)]],
                    device const float *bias [[buffer(2)]],
                    device const float *start [[buffer(3)]],
                    device const int *counts [[buffer(4)]],
                    device float *states [[buffer(5)]],
                    device float *gates [[buffer(6)]],
                    constant CellParams &p [[buffer(7)]],
                    uint index [[thread_position_in_grid]],
                    uint threads [[threads_per_grid]]) {
  const uint width = p.hidden;
  const uint slot = p.batch * width;
  const uint t = p.reverse != 0 ? p.frames - 1 - p.place : p.place;
  const uint before = (t + p.reverse) * slot;
  const uint after = (t + 1 - p.reverse) * slot;
  for (uint unit = index; unit < slot; unit += threads) {
    const uint n = unit % p.batch;
    const uint j = unit / p.batch;
    const uint own = n * width + j;
    if (p.place == 0) { states[before + own] = start[own]; }
    const float state = p.place == 0 ? start[own] : states[before + own];
    if (int(t) >= counts[n]) {
      states[after + own] = state;
      continue;
    }
    const uint row = (t * p.batch + n) * 3 * width + j;
    float r = bias[j], z = bias[width + j], held = bias[2 * width + j];
    for (uint k = 0; k < width; k++) {
      const float h = p.place == 0 ? start[n * width + k] : states[before + n * width + k];
      r += h * weight[j * width + k];
      z += h * weight[(width + j) * width + k];
      held += h * weight[(2 * width + j) * width + k];
    }
    r = sigmoid(projected[row] + r);
    z = sigmoid(projected[row + width] + z);
    const float c = tanh(projected[row + 2 * width] + r * held);
    const uint to = (t * p.batch + n) * 4 * width + j;
    gates[to] = r;
    gates[to + width] = z;
    gates[to + 2 * width] = c;
    gates[to + 3 * width] = held;
    states[after + own] = c + z * (state - c);
  }
}

// As lstmCellVjp; `recurrent` are the cotangents of the product.
kernel void gruCellVjp(device const float *g [[buffer(0)]],
                       device const float *states [[buffer(1)]],
                       device const float *gates [[buffer(2)]],
                       device const float *weight [[buffer(3)]],
                       device const int *counts [[buffer(4)]],
                       device float *projected [[buffer(5)]],
                       device float *recurrent [[buffer(6)]],
                       device float *carried [[buffer(7)]],
                       constant CellParams &p [[buffer(8)]],
                       uint index [[thread_position_in_grid]],
                       uint threads [[threads_per_grid]]) {
  const uint width = p.hidden;
  const uint slot = p.batch * width;
  const bool isStart = p.place == p.frames;
  const uint k = p.frames - 1 - min(p.place, p.frames - 1);
  const uint t = p.reverse != 0 ? p.frames - 1 - k : k;
  const uint before = (t + p.reverse) * slot;
  const uint after = isStart ? before : (t + 1 - p.reverse) * slot;
  const uint passed = isStart ? t : t + 1 - 2 * p.reverse;
  for (uint unit = index; unit < slot; unit += threads) {
    const uint n = unit % p.batch;
    const uint j = unit / p.batch;
    const uint own = n * width + j;
    float dh = g[after + own];
    if (p.place > 0) {
      dh += carried[own];
      const uint row = (passed * p.batch + n) * 3 * width;
      for (uint q = 0; q < 3 * width; q++) { dh += recurrent[row + q] * weight[q * width + j]; }
    }
    if (isStart) {
      carried[own] = dh;
      continue;
    }
    const uint row = (t * p.batch + n) * 3 * width + j;
    if (int(t) >= counts[n]) {
      for (uint q = 0; q < 3; q++) {
        projected[row + q * width] = 0.0f;
        recurrent[row + q * width] = 0.0f;
      }
      carried[own] = dh;
      continue;
    }
    const uint source = (t * p.batch + n) * 4 * width + j;
    const float r = gates[source];
    const float z = gates[source + width];
    const float c = gates[source + 2 * width];
    const float dz = dh * (states[before + own] - c) * (z * (1.0f - z));
    const float dc = dh * (1.0f - z) * (1.0f - c * c);
    const float dr = dc * gates[source + 3 * width] * (r * (1.0f - r));
    projected[row] = dr;
    projected[row + width] = dz;
    projected[row + 2 * width] = dc;
    recurrent[row] = dr;
    recurrent[row + width] = dz;
    recurrent[row + 2 * width] = dc * r;
    carried[own] = dh * z;
  }
}
