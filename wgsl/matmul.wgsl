// out[s] = a[s] b[s], or += where p.accumulate is not 0, for a batch of row-major matrices, m x k times k x n; a transposed operand is stored k x m or n x k.

struct MatmulParams { batch: u32, m: u32, n: u32, k: u32, transA: u32, transB: u32, strideA: u32, strideB: u32, accumulate: u32 }
struct MatmulSumParams { size: u32, count: u32, accumulate: u32 }

const TILE = 64u;     // rows and columns of out that a group computes at a time
const DEPTH = 16u;    // of the sum, per step
const BLOCK = 4u;     // rows and columns that a thread computes at a time
const BLOCKS = (TILE / BLOCK) * (TILE / BLOCK);

// == matmul == a tile of each operand passes through the group's memory; sums stay in registers
@group(0) @binding(0) var<storage, read> a: array<IN>;
@group(0) @binding(1) var<storage, read> b: array<IN>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: MatmulParams;

alias Four = vec4<IN>;
// Four neighbouring rows of a, or columns of b, side by side.
var<workgroup> tileA: array<Four, DEPTH * TILE / BLOCK>;
var<workgroup> tileB: array<Four, DEPTH * TILE / BLOCK>;

fn elementA(s: u32, row: u32, k: u32) -> IN {
  if (row >= p.m || k >= p.k) { return IN(0); }
  return a[s * p.strideA + select(row * p.k + k, k * p.m + row, p.transA != 0u)];
}

fn elementB(s: u32, column: u32, k: u32) -> IN {
  if (column >= p.n || k >= p.k) { return IN(0); }
  return b[s * p.strideB + select(k * p.n + column, column * p.k + k, p.transB != 0u)];
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  let across = (p.n + TILE - 1u) / TILE;
  let down = (p.m + TILE - 1u) / TILE;
  for (var tile = group.x; tile < across * down * p.batch; tile += groups.x) {
    let s = tile / (across * down);
    let row0 = tile / across % down * TILE;
    let column0 = tile % across * TILE;
    let y = index / (TILE / BLOCK);
    let x = index % (TILE / BLOCK);
    var sum0 = Four();
    var sum1 = Four();
    var sum2 = Four();
    var sum3 = Four();
    for (var k0 = 0u; k0 < p.k; k0 += DEPTH) {
      for (var e = index; e < DEPTH * TILE / BLOCK; e += WIDTH) {
        // Neighbouring threads read neighbouring elements of memory, whichever way the operand is stored.
        let kA = select(e % DEPTH, e / (TILE / BLOCK), p.transA != 0u);
        let i = select(e / DEPTH, e % (TILE / BLOCK), p.transA != 0u);
        let row = row0 + i * BLOCK;
        tileA[kA * (TILE / BLOCK) + i] = Four(elementA(s, row, k0 + kA), elementA(s, row + 1u, k0 + kA), elementA(s, row + 2u, k0 + kA), elementA(s, row + 3u, k0 + kA));
        let kB = select(e / (TILE / BLOCK), e % DEPTH, p.transB != 0u);
        let j = select(e % (TILE / BLOCK), e / DEPTH, p.transB != 0u);
        let column = column0 + j * BLOCK;
        tileB[kB * (TILE / BLOCK) + j] = Four(elementB(s, column, k0 + kB), elementB(s, column + 1u, k0 + kB), elementB(s, column + 2u, k0 + kB), elementB(s, column + 3u, k0 + kB));
      }
      workgroupBarrier();
      if (index < BLOCKS) {
        for (var k = 0u; k < DEPTH; k++) {
          let u = tileA[k * (TILE / BLOCK) + y];
          let v = tileB[k * (TILE / BLOCK) + x];
          sum0 += u.x * v;
          sum1 += u.y * v;
          sum2 += u.z * v;
          sum3 += u.w * v;
        }
      }
      workgroupBarrier();
    }
    if (index < BLOCKS) {
      var sums = array<Four, BLOCK>(sum0, sum1, sum2, sum3);
      for (var i = 0u; i < BLOCK; i++) {
        let row = row0 + y * BLOCK + i;
        for (var j = 0u; j < BLOCK; j++) {
          let column = column0 + x * BLOCK + j;
          if (row >= p.m || column >= p.n) { continue; }
          let at = (s * p.m + row) * p.n + column;
          out[at] = select(sums[i][j], out[at] + sums[i][j], p.accumulate != 0u);
        }
      }
    }
  }
}

// == matmulSum == out = the sum of `count` parts, or += where p.accumulate is not 0
@group(0) @binding(0) var<storage, read> parts: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: MatmulSumParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  for (var i = id.x; i < p.size; i += groups.x * WIDTH) {
    var sum = select(OUT(0), out[i], p.accumulate != 0u);
    for (var part = 0u; part < p.count; part++) { sum += parts[part * p.size + i]; }
    out[i] = sum;
  }
}
