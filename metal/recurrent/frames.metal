// A group takes a few units of a few sequences through one frame, or back; for each unit several threads, each with a part of the product's sum.

constant constexpr uint UNITS = 32;
constant constexpr uint BESIDE = 4;   // sequences
constant constexpr uint SPLITS = 8;   // parts of a sum
constant constexpr uint LANES = UNITS * SPLITS;
constant constexpr uint DEPTH = 128;  // of a vjp's sum, at a time

template <typename Cell>
void frame(Forward b, constant CellParams &p, threadgroup float4 *parts, uint group, uint groups, uint index, uint threads) {
  const uint width = p.hidden, slot = p.batch * width, cells = (p.frames + 1) * slot;
  const uint t = p.reverse != 0 ? p.frames - 1 - p.place : p.place;
  const uint before = (t + p.reverse) * slot, after = (t + 1 - p.reverse) * slot;
  const uint across = (width + UNITS - 1) / UNITS, depth = (width + SPLITS - 1) / SPLITS;
  device const float *h = p.place == 0 ? b.start : b.states + before;
  for (uint tile = group; tile < across * ((p.batch + BESIDE - 1) / BESIDE); tile += groups) {
    const uint column = tile % across * UNITS, first = tile / across * BESIDE;
    for (uint e = index; e < LANES; e += threads) {
      const uint j = column + e % UNITS, s = e / UNITS, end = j < width ? min((s + 1) * depth, width) : 0;
      float4 sums[BESIDE];
      for (uint q = 0; q < BESIDE; q++) sums[q] = none();
      for (uint i = s * depth; i < end; i++) {
        const float4 four = b.weight[i * width + j];
        for (uint q = 0; q < BESIDE; q++) sums[q] += h[min(first + q, p.batch - 1) * width + i] * four;
      }
      for (uint q = 0; q < BESIDE; q++) parts[q * LANES + e] = sums[q];
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint e = index; e < BESIDE * UNITS; e += threads) {
      const uint j = column + e % UNITS, n = first + e / UNITS, own = n * width + j, at = t * p.batch + n;
      if (j >= width || n >= p.batch) continue;
      float2 state = float2(0.0f, 0.0f);
      state.x = h[own];
      if (Cell::STATES == 2) state.y = p.place == 0 ? b.start[slot + own] : b.states[cells + before + own];
      if (p.place == 0) {
        b.states[before + own] = state.x;
        if (Cell::STATES == 2) b.states[cells + before + own] = state.y;
      }
      if (int(t) < b.counts[n]) {
        float4 sums = none();
        for (uint s = 0; s < SPLITS; s++) sums += parts[e / UNITS * LANES + s * UNITS + e % UNITS];
        const Unit unit = Cell::unitOf(Cell::joined(sums, Cell::arriving(b, width, at, j)), state);
        for (uint gate = 0; gate < 4; gate++) b.gates[(at * 4 + gate) * width + j] = unit.gates[gate];
        state = unit.state;
      }
      b.states[after + own] = state.x;
      if (Cell::STATES == 2) b.states[cells + after + own] = state.y;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}

// `carried` holds what is passed on to the frame before, but for the product, which is formed when that frame's turn comes. `given` are cotangents of the sums
// of gates in the frame that was passed before.
template <typename Cell>
void frameBack(Backward b, constant CellParams &p, threadgroup float4 *given, threadgroup float *parts, uint group, uint groups, uint index, uint threads) {
  const uint width = p.hidden, slot = p.batch * width, cells = (p.frames + 1) * slot;
  const bool isStart = p.place == p.frames;
  // The frame, in the order of reading; where its states lie, and the frame that was passed before.
  const uint k = p.frames - 1 - min(p.place, p.frames - 1);
  const uint t = p.reverse != 0 ? p.frames - 1 - k : k;
  const uint before = (t + p.reverse) * slot;
  const uint after = isStart ? before : (t + 1 - p.reverse) * slot;
  const uint last = isStart ? t : t + 1 - 2 * p.reverse;
  const uint whole = p.place == 0 ? 0 : width, across = (width + UNITS - 1) / UNITS;
  for (uint tile = group; tile < across * ((p.batch + BESIDE - 1) / BESIDE); tile += groups) {
    const uint column = tile % across * UNITS, first = tile / across * BESIDE;
    for (uint e = index; e < LANES; e += threads) for (uint q = 0; q < BESIDE; q++) parts[q * LANES + e] = 0.0f;
    for (uint base = 0; base < whole; base += DEPTH) {
      for (uint e = index; e < BESIDE * DEPTH; e += threads) {
        const uint i = base + e % DEPTH;
        given[e] = i < width ? Cell::kept(b, width, last * p.batch + min(first + e / DEPTH, p.batch - 1), i) : none();
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint e = index; e < LANES; e += threads) {
        const uint j = column + e % UNITS, s = e / UNITS * (DEPTH / SPLITS), end = j < width ? min(s + DEPTH / SPLITS, width - base) : 0;
        for (uint i = s; i < end; i++) {
          const float4 four = b.weight[(base + i) * width + j];
          for (uint q = 0; q < BESIDE; q++) parts[q * LANES + e] += dot(given[q * DEPTH + i], four);
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint e = index; e < BESIDE * UNITS; e += threads) {
      const uint j = column + e % UNITS, n = first + e / UNITS, own = n * width + j, at = t * p.batch + n;
      if (j >= width || n >= p.batch) continue;
      float2 d = float2(0.0f, 0.0f);
      d.x = b.g[after + own];
      if (Cell::STATES == 2) d.y = b.g[cells + after + own];
      if (p.place > 0) {
        d.x += b.carried[own];
        if (Cell::STATES == 2) d.y += b.carried[slot + own];
        // Nothing comes from a frame beyond the sequence's own, though the weights be infinite.
        const uint end = int(last) < b.counts[n] ? SPLITS : 0;
        for (uint s = 0; s < end; s++) d.x += parts[e / UNITS * LANES + s * UNITS + e % UNITS];
      }
      if (!isStart) {
        Cotangents back = { none(), d };
        if (int(t) < b.counts[n]) back = Cell::cotangentsOf(b, width, at, j, before + own, after + own, cells, d);
        Cell::keep(b, width, at, j, back.sums);
        d = back.state;
      }
      b.carried[own] = d.x;
      if (Cell::STATES == 2) b.carried[slot + own] = d.y;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
  }
}
