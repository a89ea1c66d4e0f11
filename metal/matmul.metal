// out[s] = a[s] b[s], or += where p.accumulate is not 0, for a batch of row-major matrices, m x k times k x n; a transposed operand is stored k x m or n x k.
#include <metal_stdlib>
using namespace metal;

#ifndef IN
#define IN float
#define OUT float
#endif

struct MatmulParams { uint batch, m, n, k, transA, transB, strideA, strideB, accumulate; };
struct MatmulSumParams { uint size, count, accumulate; };

constant constexpr uint TILE = 64;     // rows and columns of out that a group computes at a time
constant constexpr uint DEPTH = 16;    // of the sum, per step
constant constexpr uint BLOCK = 4;     // rows and columns that a thread computes at a time
constant constexpr uint BLOCKS = (TILE / BLOCK) * (TILE / BLOCK);

// A tile of each operand passes through threadgroup memory; sums stay in registers. Where the group has fewer threads than the tile has
// blocks, it goes over the tile several times, a block a thread.
kernel void matmul(device const IN *a [[buffer(0)]],
                   device const IN *b [[buffer(1)]],
                   device OUT *out [[buffer(2)]],
                   constant MatmulParams &p [[buffer(3)]],
                   uint group [[threadgroup_position_in_grid]],
                   uint groups [[threadgroups_per_grid]],
                   uint index [[thread_index_in_threadgroup]],
                   uint width [[threads_per_threadgroup]]) {
  threadgroup IN tileA[DEPTH * TILE], tileB[DEPTH * TILE];
  const uint across = (p.n + TILE - 1) / TILE, down = (p.m + TILE - 1) / TILE;
  for (uint tile = group; tile < across * down * p.batch; tile += groups) {
    const uint s = tile / (across * down), row0 = tile / across % down * TILE, column0 = tile % across * TILE;
    device const IN *left = a + ulong(s) * p.strideA;
    device const IN *right = b + ulong(s) * p.strideB;
    device OUT *result = out + ulong(s) * p.m * p.n;
    for (uint pass = 0; pass < BLOCKS; pass += width) {
      const uint block = pass + index;
      const uint y = block / (TILE / BLOCK) * BLOCK, x = block % (TILE / BLOCK) * BLOCK;
      IN sums[BLOCK][BLOCK];
      for (uint i = 0; i < BLOCK; i++) for (uint j = 0; j < BLOCK; j++) sums[i][j] = 0;
      for (uint k0 = 0; k0 < p.k; k0 += DEPTH) {
        for (uint e = index; e < DEPTH * TILE; e += width) {
          // Neighbouring threads read neighbouring elements of memory, whichever way the operand is stored.
          const uint kA = p.transA != 0 ? e / TILE : e % DEPTH, i = p.transA != 0 ? e % TILE : e / DEPTH;
          const uint kB = p.transB != 0 ? e % DEPTH : e / TILE, j = p.transB != 0 ? e / DEPTH : e % TILE;
          const uint row = row0 + i, column = column0 + j;
          tileA[kA * TILE + i] = row < p.m && k0 + kA < p.k ? left[p.transA != 0 ? ulong(k0 + kA) * p.m + row : ulong(row) * p.k + k0 + kA] : IN(0);
          tileB[kB * TILE + j] = column < p.n && k0 + kB < p.k ? right[p.transB != 0 ? ulong(column) * p.k + k0 + kB : ulong(k0 + kB) * p.n + column] : IN(0);
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (block < BLOCKS) {
          for (uint k = 0; k < DEPTH; k++) {
            IN u[BLOCK], v[BLOCK];
            for (uint i = 0; i < BLOCK; i++) u[i] = tileA[k * TILE + y + i];
            for (uint j = 0; j < BLOCK; j++) v[j] = tileB[k * TILE + x + j];
            for (uint i = 0; i < BLOCK; i++) for (uint j = 0; j < BLOCK; j++) sums[i][j] += u[i] * v[j];
          }
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
      }
      for (uint i = 0; i < BLOCK; i++) {
        for (uint j = 0; j < BLOCK; j++) {
          if (block >= BLOCKS || row0 + y + i >= p.m || column0 + x + j >= p.n) continue;
          const ulong at = ulong(row0 + y + i) * p.n + column0 + x + j;
          result[at] = p.accumulate != 0 ? result[at] + sums[i][j] : sums[i][j];
        }
      }
    }
  }
}

// out = the sum of `count` parts, or += where p.accumulate is not 0.
kernel void matmulSum(device const IN *parts [[buffer(0)]],
                      device OUT *out [[buffer(1)]],
                      constant MatmulSumParams &p [[buffer(2)]],
                      uint index [[thread_position_in_grid]],
                      uint threads [[threads_per_grid]]) {
  for (uint i = index; i < p.size; i += threads) {
    OUT sum = p.accumulate != 0 ? out[i] : OUT(0);
    for (uint part = 0; part < p.count; part++) sum += parts[ulong(part) * p.size + i];
    out[i] = sum;
  }
}
