// out[s] = a[s] b[s], or += where p.accumulate is not 0, for a batch of row-major matrices, m x k times k x n; a transposed operand is stored k x m or n x k.

struct MatmulParams { batch: u32, m: u32, n: u32, k: u32, transA: u32, transB: u32, strideA: u32, strideB: u32, accumulate: u32 }

const TILE = 64u;     // rows and columns of out that a group computes at a time
const DEPTH = 16u;    // of the sum, per step
const BLOCK = 4u;     // rows and columns that a thread computes at a time
const BLOCKS = (TILE / BLOCK) * (TILE / BLOCK);

alias Four = vec4<IN>;

fn elementA(s: u32, row: u32, k: u32) -> IN {
  if (row >= p.m || k >= p.k) { return IN(0); }
  return a[s * p.strideA + select(row * p.k + k, k * p.m + row, p.transA != 0u)];
}

fn elementB(s: u32, column: u32, k: u32) -> IN {
  if (column >= p.n || k >= p.k) { return IN(0); }
  return b[s * p.strideB + select(k * p.n + column, column * p.k + k, p.transB != 0u)];
}

// Four neighbouring rows of a, or columns of b, side by side.
fn rowsOfA(s: u32, row: u32, k: u32) -> Four { return Four(elementA(s, row, k), elementA(s, row + 1u, k), elementA(s, row + 2u, k), elementA(s, row + 3u, k)); }
fn columnsOfB(s: u32, column: u32, k: u32) -> Four {
  return Four(elementB(s, column, k), elementB(s, column + 1u, k), elementB(s, column + 2u, k), elementB(s, column + 3u, k));
}

// == matmul == a tile of each operand passes through the group's memory; sums stay in registers
@group(0) @binding(0) var<storage, read> a: array<IN>;
@group(0) @binding(1) var<storage, read> b: array<IN>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: MatmulParams;

var<workgroup> tileA: array<Four, DEPTH * TILE / BLOCK>;
var<workgroup> tileB: array<Four, DEPTH * TILE / BLOCK>;

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
        tileA[kA * (TILE / BLOCK) + i] = rowsOfA(s, row, k0 + kA);
        let kB = select(e / (TILE / BLOCK), e % DEPTH, p.transB != 0u);
        let j = select(e % (TILE / BLOCK), e / DEPTH, p.transB != 0u);
        let column = column0 + j * BLOCK;
        tileB[kB * (TILE / BLOCK) + j] = columnsOfB(s, column, k0 + kB);
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

// == matmulLarge == the same for large matrices: 8 x 8 sums a thread, in four blocks, so that each element of the group's memory is used eight times
@group(0) @binding(0) var<storage, read> a: array<IN>;
@group(0) @binding(1) var<storage, read> b: array<IN>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: MatmulParams;

const LARGE_TILE = 128u;
const QUARTER = LARGE_TILE / BLOCK;

var<workgroup> tileA: array<Four, DEPTH * QUARTER>;
var<workgroup> tileB: array<Four, DEPTH * QUARTER>;

// Where four neighbours lie: shuffled, so that threads which write one after the other of the sum's terms do not meet in one bank of the memory.
fn placeOf(k: u32, i: u32) -> u32 { return k * QUARTER + (i ^ (k & 7u)); }

fn store(s: u32, row: u32, column: u32, sums: Four) {
  if (row >= p.m) { return; }
  let at = (s * p.m + row) * p.n + column;
  for (var j = 0u; j < BLOCK; j++) {
    if (column + j < p.n) { out[at + j] = select(sums[j], out[at + j] + sums[j], p.accumulate != 0u); }
  }
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  let across = (p.n + LARGE_TILE - 1u) / LARGE_TILE;
  let down = (p.m + LARGE_TILE - 1u) / LARGE_TILE;
  let y = index / (QUARTER / 2u);
  let x = index % (QUARTER / 2u);
  for (var tile = group.x; tile < across * down * p.batch; tile += groups.x) {
    let s = tile / (across * down);
    let row0 = tile / across % down * LARGE_TILE;
    let column0 = tile % across * LARGE_TILE;
    var sum00 = Four();
    var sum01 = Four();
    var sum10 = Four();
    var sum11 = Four();
    var sum20 = Four();
    var sum21 = Four();
    var sum30 = Four();
    var sum31 = Four();
    var sum40 = Four();
    var sum41 = Four();
    var sum50 = Four();
    var sum51 = Four();
    var sum60 = Four();
    var sum61 = Four();
    var sum70 = Four();
    var sum71 = Four();
    for (var k0 = 0u; k0 < p.k; k0 += DEPTH) {
      for (var e = index; e < DEPTH * QUARTER; e += WIDTH) {
        let kA = select(e % DEPTH, e / QUARTER, p.transA != 0u);
        let i = select(e / DEPTH, e % QUARTER, p.transA != 0u);
        tileA[placeOf(kA, i)] = rowsOfA(s, row0 + i * BLOCK, k0 + kA);
        let kB = select(e / QUARTER, e % DEPTH, p.transB != 0u);
        let j = select(e % QUARTER, e / DEPTH, p.transB != 0u);
        tileB[placeOf(kB, j)] = columnsOfB(s, column0 + j * BLOCK, k0 + kB);
      }
      workgroupBarrier();
      if (index < QUARTER * QUARTER / 4u) {
        for (var k = 0u; k < DEPTH; k++) {
          let u0 = tileA[placeOf(k, y)];
          let u1 = tileA[placeOf(k, y + QUARTER / 2u)];
          let v0 = tileB[placeOf(k, x)];
          let v1 = tileB[placeOf(k, x + QUARTER / 2u)];
          sum00 += u0.x * v0;
          sum01 += u0.x * v1;
          sum10 += u0.y * v0;
          sum11 += u0.y * v1;
          sum20 += u0.z * v0;
          sum21 += u0.z * v1;
          sum30 += u0.w * v0;
          sum31 += u0.w * v1;
          sum40 += u1.x * v0;
          sum41 += u1.x * v1;
          sum50 += u1.y * v0;
          sum51 += u1.y * v1;
          sum60 += u1.z * v0;
          sum61 += u1.z * v1;
          sum70 += u1.w * v0;
          sum71 += u1.w * v1;
        }
      }
      workgroupBarrier();
    }
    store(s, row0 + y * BLOCK, column0 + x * BLOCK, sum00);
    store(s, row0 + y * BLOCK, column0 + x * BLOCK + LARGE_TILE / 2u, sum01);
    store(s, row0 + y * BLOCK + 1u, column0 + x * BLOCK, sum10);
    store(s, row0 + y * BLOCK + 1u, column0 + x * BLOCK + LARGE_TILE / 2u, sum11);
    store(s, row0 + y * BLOCK + 2u, column0 + x * BLOCK, sum20);
    store(s, row0 + y * BLOCK + 2u, column0 + x * BLOCK + LARGE_TILE / 2u, sum21);
    store(s, row0 + y * BLOCK + 3u, column0 + x * BLOCK, sum30);
    store(s, row0 + y * BLOCK + 3u, column0 + x * BLOCK + LARGE_TILE / 2u, sum31);
    store(s, row0 + y * BLOCK + LARGE_TILE / 2u, column0 + x * BLOCK, sum40);
    store(s, row0 + y * BLOCK + LARGE_TILE / 2u, column0 + x * BLOCK + LARGE_TILE / 2u, sum41);
    store(s, row0 + y * BLOCK + LARGE_TILE / 2u + 1u, column0 + x * BLOCK, sum50);
    store(s, row0 + y * BLOCK + LARGE_TILE / 2u + 1u, column0 + x * BLOCK + LARGE_TILE / 2u, sum51);
    store(s, row0 + y * BLOCK + LARGE_TILE / 2u + 2u, column0 + x * BLOCK, sum60);
    store(s, row0 + y * BLOCK + LARGE_TILE / 2u + 2u, column0 + x * BLOCK + LARGE_TILE / 2u, sum61);
    store(s, row0 + y * BLOCK + LARGE_TILE / 2u + 3u, column0 + x * BLOCK, sum70);
    store(s, row0 + y * BLOCK + LARGE_TILE / 2u + 3u, column0 + x * BLOCK + LARGE_TILE / 2u, sum71);
  }
}
