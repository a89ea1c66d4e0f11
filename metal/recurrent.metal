// LSTM and GRU cells and their vjps, two ways. Where a group's memory holds all hidden units of two sequences, it takes them through all frames (the passages):
// groups cannot wait for each other, but sequences need not. Else a frame is a launch, of as many groups as there are parts of units and sequences (the
// frames); `place` counts those that came before, in the order of reading, and for the vjps backwards, where the place behind the last is the start's.
// Layouts are those of wasm/recurrent.ts, but for the weights: see recurrentWeights. In `at` a frame of a sequence is counted, t * batch + n.
#include <metal_stdlib>
using namespace metal;

struct CellParams { uint frames, batch, hidden, reverse, place; };
struct WeightsParams { uint hidden, gates, byInput; };

inline float sigmoid(float x) {
  const float e = exp(-fabs(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

inline float4 none() { return float4(0.0f, 0.0f, 0.0f, 0.0f); }

// A unit behind a frame: what its gates let through, and its states.
struct Unit { float4 gates; float2 state; };

// Backwards: the cotangents of the gates' sums, and of the states before the frame but for what comes through the product.
struct Cotangents { float4 sums; float2 state; };

// The buffers of a passage, and of one back.
struct Forward { device const float *projected; device const float4 *weight; device const float *bias, *start; device const int *counts; device float *states, *gates; };
struct Backward { device const float *g, *states, *gates; device const float4 *weight; device const int *counts; device float *projected, *recurrent, *carried; };

// [hidden, hidden] vectors of a weight for each gate: by the unit that reads, or by the one whose gates it goes to. The GRU's fourth are 0.
kernel void recurrentWeights(device const float *weight [[buffer(0)]],
                             device float4 *out [[buffer(1)]],
                             constant WeightsParams &p [[buffer(2)]],
                             uint index [[thread_position_in_grid]],
                             uint threads [[threads_per_grid]]) {
  const uint size = p.hidden * p.hidden;
  for (uint i = index; i < size; i += threads) {
    const uint place = p.byInput != 0 ? i % p.hidden * p.hidden + i / p.hidden : i;
    out[i] = float4(weight[place], weight[size + place], weight[2 * size + place], p.gates == 4 ? weight[3 * size + place] : 0.0f);
  }
}

#include "recurrent/cells.metal"
#include "recurrent/passages.metal"
#include "recurrent/frames.metal"

kernel void lstmPassage(device const float *projected [[buffer(0)]],
                        device const float4 *weight [[buffer(1)]],
                        device const float *bias [[buffer(2)]],
                        device const float *start [[buffer(3)]],
                        device const int *counts [[buffer(4)]],
                        device float *states [[buffer(5)]],
                        device float *gates [[buffer(6)]],
                        constant CellParams &p [[buffer(7)]],
                        uint group [[threadgroup_position_in_grid]],
                        uint groups [[threadgroups_per_grid]],
                        uint index [[thread_index_in_threadgroup]],
                        uint threads [[threads_per_threadgroup]]) {
  threadgroup float held[TOGETHER * MOST_HIDDEN], memory[TOGETHER * MOST_HIDDEN];
  threadgroup float4 parts[TOGETHER * ROOM];
  const Forward b = { projected, weight, bias, start, counts, states, gates };
  passage<Lstm>(b, p, held, memory, parts, group, groups, index, threads);
}

kernel void gruPassage(device const float *projected [[buffer(0)]],
                       device const float4 *weight [[buffer(1)]],
                       device const float *bias [[buffer(2)]],
                       device const float *start [[buffer(3)]],
                       device const int *counts [[buffer(4)]],
                       device float *states [[buffer(5)]],
                       device float *gates [[buffer(6)]],
                       constant CellParams &p [[buffer(7)]],
                       uint group [[threadgroup_position_in_grid]],
                       uint groups [[threadgroups_per_grid]],
                       uint index [[thread_index_in_threadgroup]],
                       uint threads [[threads_per_threadgroup]]) {
  threadgroup float held[TOGETHER * MOST_HIDDEN], memory[TOGETHER * MOST_HIDDEN];
  threadgroup float4 parts[TOGETHER * ROOM];
  const Forward b = { projected, weight, bias, start, counts, states, gates };
  passage<Gru>(b, p, held, memory, parts, group, groups, index, threads);
}

kernel void lstmPassageVjp(device const float *g [[buffer(0)]],
                           device const float *states [[buffer(1)]],
                           device const float *gates [[buffer(2)]],
                           device const float4 *weight [[buffer(3)]],
                           device const int *counts [[buffer(4)]],
                           device float *projected [[buffer(5)]],
                           device float *carried [[buffer(6)]],
                           constant CellParams &p [[buffer(7)]],
                           uint group [[threadgroup_position_in_grid]],
                           uint groups [[threadgroups_per_grid]],
                           uint index [[thread_index_in_threadgroup]],
                           uint threads [[threads_per_threadgroup]]) {
  threadgroup float2 passed[TOGETHER * MOST_HIDDEN];
  threadgroup float4 given[TOGETHER * MOST_HIDDEN];
  threadgroup float parts[TOGETHER * ROOM];
  const Backward b = { g, states, gates, weight, counts, projected, projected, carried };
  passageBack<Lstm>(b, p, passed, given, parts, group, groups, index, threads);
}

kernel void gruPassageVjp(device const float *g [[buffer(0)]],
                          device const float *states [[buffer(1)]],
                          device const float *gates [[buffer(2)]],
                          device const float4 *weight [[buffer(3)]],
                          device const int *counts [[buffer(4)]],
                          device float *projected [[buffer(5)]],
                          device float *recurrent [[buffer(6)]],
                          device float *carried [[buffer(7)]],
                          constant CellParams &p [[buffer(8)]],
                          uint group [[threadgroup_position_in_grid]],
                          uint groups [[threadgroups_per_grid]],
                          uint index [[thread_index_in_threadgroup]],
                          uint threads [[threads_per_threadgroup]]) {
  threadgroup float2 passed[TOGETHER * MOST_HIDDEN];
  threadgroup float4 given[TOGETHER * MOST_HIDDEN];
  threadgroup float parts[TOGETHER * ROOM];
  const Backward b = { g, states, gates, weight, counts, projected, recurrent, carried };
  passageBack<Gru>(b, p, passed, given, parts, group, groups, index, threads);
}

kernel void lstmCell(device const float *projected [[buffer(0)]],
                     device const float4 *weight [[buffer(1)]],
                     device const float *bias [[buffer(2)]],
                     device const float *start [[buffer(3)]],
                     device const int *counts [[buffer(4)]],
                     device float *states [[buffer(5)]],
                     device float *gates [[buffer(6)]],
                     constant CellParams &p [[buffer(7)]],
                     uint group [[threadgroup_position_in_grid]],
                     uint groups [[threadgroups_per_grid]],
                     uint index [[thread_index_in_threadgroup]],
                     uint threads [[threads_per_threadgroup]]) {
  threadgroup float4 parts[BESIDE * LANES];
  const Forward b = { projected, weight, bias, start, counts, states, gates };
  frame<Lstm>(b, p, parts, group, groups, index, threads);
}

kernel void gruCell(device const float *projected [[buffer(0)]],
                    device const float4 *weight [[buffer(1)]],
                    device const float *bias [[buffer(2)]],
                    device const float *start [[buffer(3)]],
                    device const int *counts [[buffer(4)]],
                    device float *states [[buffer(5)]],
                    device float *gates [[buffer(6)]],
                    constant CellParams &p [[buffer(7)]],
                    uint group [[threadgroup_position_in_grid]],
                    uint groups [[threadgroups_per_grid]],
                    uint index [[thread_index_in_threadgroup]],
                    uint threads [[threads_per_threadgroup]]) {
  threadgroup float4 parts[BESIDE * LANES];
  const Forward b = { projected, weight, bias, start, counts, states, gates };
  frame<Gru>(b, p, parts, group, groups, index, threads);
}

kernel void lstmCellVjp(device const float *g [[buffer(0)]],
                        device const float *states [[buffer(1)]],
                        device const float *gates [[buffer(2)]],
                        device const float4 *weight [[buffer(3)]],
                        device const int *counts [[buffer(4)]],
                        device float *projected [[buffer(5)]],
                        device float *carried [[buffer(6)]],
                        constant CellParams &p [[buffer(7)]],
                        uint group [[threadgroup_position_in_grid]],
                        uint groups [[threadgroups_per_grid]],
                        uint index [[thread_index_in_threadgroup]],
                        uint threads [[threads_per_threadgroup]]) {
  threadgroup float4 given[BESIDE * DEPTH];
  threadgroup float parts[BESIDE * LANES];
  const Backward b = { g, states, gates, weight, counts, projected, projected, carried };
  frameBack<Lstm>(b, p, given, parts, group, groups, index, threads);
}

kernel void gruCellVjp(device const float *g [[buffer(0)]],
                       device const float *states [[buffer(1)]],
                       device const float *gates [[buffer(2)]],
                       device const float4 *weight [[buffer(3)]],
                       device const int *counts [[buffer(4)]],
                       device float *projected [[buffer(5)]],
                       device float *recurrent [[buffer(6)]],
                       device float *carried [[buffer(7)]],
                       constant CellParams &p [[buffer(8)]],
                       uint group [[threadgroup_position_in_grid]],
                       uint groups [[threadgroups_per_grid]],
                       uint index [[thread_index_in_threadgroup]],
                       uint threads [[threads_per_threadgroup]]) {
  threadgroup float4 given[BESIDE * DEPTH];
  threadgroup float parts[BESIDE * LANES];
  const Backward b = { g, states, gates, weight, counts, projected, recurrent, carried };
  frameBack<Gru>(b, p, given, parts, group, groups, index, threads);
}
