// A group takes two sequences, which share what is read of the weights, through all frames, or back. Several threads share a unit where there are enough, each
// with a part of the product's sum.

constant constexpr uint TOGETHER = 2;       // sequences
constant constexpr uint MOST_HIDDEN = 256;
constant constexpr uint MOST_SPLITS = 8;    // threads that share a unit
constant constexpr uint ROOM = 256;         // hidden units, or threads of a group, at most

// `held` is h, `memory` c, a sequence behind the other; `parts` are those of the sums.
template <typename Cell>
void passage(Forward b, constant CellParams &p, threadgroup float *held, threadgroup float *memory, threadgroup float4 *parts, uint group, uint groups, uint index, uint threads) {
  const uint width = p.hidden, slot = p.batch * width, cells = (p.frames + 1) * slot;
  const uint splits = clamp(threads / width, 1u, MOST_SPLITS), depth = (width + splits - 1) / splits;
  for (uint first = TOGETHER * group; first < p.batch; first += TOGETHER * groups) {
    const uint second = min(first + 1, p.batch - 1), units = (second - first + 1) * width, own = first * width;
    for (uint e = index; e < TOGETHER * width; e += threads) {
      const uint begin = p.reverse * p.frames * slot + own + e;
      held[e] = memory[e] = 0.0f;
      if (e >= units) continue;
      b.states[begin] = held[e] = b.start[own + e];
      if (Cell::STATES == 2) b.states[cells + begin] = memory[e] = b.start[slot + own + e];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < p.frames; k++) {
      const uint t = p.reverse != 0 ? p.frames - 1 - k : k;
      const bool isRead = int(t) < max(b.counts[first], b.counts[second]);
      for (uint e = index; e < splits * width; e += threads) {
        const uint s = e / width, j = e - s * width, end = isRead ? min((s + 1) * depth, width) : 0;
        float4 sum0 = none(), sum1 = none(), beside0 = none(), beside1 = none();
        if (s == 0) {
          beside0 = Cell::arriving(b, width, t * p.batch + first, j);
          beside1 = Cell::arriving(b, width, t * p.batch + second, j);
        }
        for (uint i = s * depth; i < end; i++) {
          const float4 four = b.weight[i * width + j];
          sum0 += held[i] * four;
          sum1 += held[width + i] * four;
        }
        parts[e] = Cell::joined(sum0, beside0);
        parts[ROOM + e] = Cell::joined(sum1, beside1);
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      const uint after = (t + 1 - p.reverse) * slot + own;
      for (uint e = index; e < units; e += threads) {
        const uint q = e >= width ? 1 : 0, j = e - q * width, at = t * p.batch + first + q;
        if (int(t) < b.counts[first + q]) {
          float4 sums = parts[q * ROOM + j];
          for (uint s = 1; s < splits; s++) sums += parts[q * ROOM + s * width + j];
          const Unit unit = Cell::unitOf(sums, float2(held[e], memory[e]));
          for (uint gate = 0; gate < 4; gate++) b.gates[(at * 4 + gate) * width + j] = unit.gates[gate];
          held[e] = unit.state.x;
          memory[e] = unit.state.y;
        }
        b.states[after + e] = held[e];
        if (Cell::STATES == 2) b.states[cells + after + e] = memory[e];
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
  }
}

// `passed` are cotangents of h and c on their way, but for the product; `given` those of the sums of a frame's gates; `parts` those of the product.
template <typename Cell>
void passageBack(Backward b, constant CellParams &p, threadgroup float2 *passed, threadgroup float4 *given, threadgroup float *parts, uint group, uint groups, uint index, uint threads) {
  const uint width = p.hidden, slot = p.batch * width, cells = (p.frames + 1) * slot;
  const uint splits = clamp(threads / width, 1u, MOST_SPLITS), depth = (width + splits - 1) / splits;
  for (uint first = TOGETHER * group; first < p.batch; first += TOGETHER * groups) {
    const uint second = min(first + 1, p.batch - 1), units = (second - first + 1) * width, own = first * width;
    for (uint e = index; e < TOGETHER * width; e += threads) {
      passed[e] = float2(0.0f, 0.0f);
      given[e] = none();
    }
    for (uint e = index; e < splits * width; e += threads) parts[e] = parts[ROOM + e] = 0.0f;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    // Backwards in the order of reading, and behind the first frame the start.
    for (uint k = p.frames + 1; k > 0; k--) {
      const bool isStart = k == 1;
      const uint t = p.reverse != 0 ? p.frames + 1 - k : isStart ? 0 : k - 2;
      const uint before = (t + p.reverse) * slot + own;
      const uint after = (isStart ? p.reverse * p.frames : t + 1 - p.reverse) * slot + own;
      for (uint e = index; e < units; e += threads) {
        const uint q = e >= width ? 1 : 0, j = e - q * width, at = t * p.batch + first + q;
        float2 d = passed[e];
        d.x += b.g[after + e];
        if (Cell::STATES == 2) d.y += b.g[cells + after + e];
        for (uint s = 0; s < splits; s++) d.x += parts[q * ROOM + s * width + j];
        if (isStart) {
          b.carried[own + e] = d.x;
          if (Cell::STATES == 2) b.carried[slot + own + e] = d.y;
          continue;
        }
        Cotangents back = { none(), d };
        if (int(t) < b.counts[first + q]) back = Cell::cotangentsOf(b, width, at, j, before + e, after + e, cells, d);
        given[e] = Cell::keep(b, width, at, j, back.sums);
        passed[e] = back.state;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      const bool isRead = !isStart && int(t) < max(b.counts[first], b.counts[second]);
      for (uint e = index; e < splits * width; e += threads) {
        const uint s = e / width, j = e - s * width, end = isRead ? min((s + 1) * depth, width) : 0;
        float sum0 = 0.0f, sum1 = 0.0f;
        for (uint i = s * depth; i < end; i++) {
          const float4 four = b.weight[i * width + j];
          sum0 += dot(given[i], four);
          sum1 += dot(given[width + i], four);
        }
        // Nothing comes from a frame beyond a sequence's own, though the weights be infinite.
        parts[e] = int(t) < b.counts[first] ? sum0 : 0.0f;
        parts[ROOM + e] = int(t) < b.counts[second] ? sum1 : 0.0f;
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
  }
}
