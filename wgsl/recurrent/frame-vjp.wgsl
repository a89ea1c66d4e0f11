// A group takes a few units of a few sequences back through one frame, as recurrent/frame.wgsl forwards. `carried` holds what is passed on to the frame
// before, but for the product, which is formed when that frame's turn comes.

const UNITS = 32u;
const TOGETHER = 4u;  // sequences
const SPLITS = 8u;    // parts of a sum
const LANES = UNITS * SPLITS;
const DEPTH = 128u;   // of a sum, at a time

var<workgroup> given: array<vec4f, TOGETHER * DEPTH>;  // cotangents of the sums of gates in the frame that was passed before
var<workgroup> parts: array<f32, TOGETHER * LANES>;

// What a unit of the frame before it brings to the sums of the sequences.
fn termsOf(i: u32, w: vec4f) -> vec4f {
  return vec4f(dot(given[i], w), dot(given[DEPTH + i], w), dot(given[2u * DEPTH + i], w), dot(given[3u * DEPTH + i], w));
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let width = p.hidden;
  let slot = p.batch * width;
  let cells = (p.frames + 1u) * slot;
  let isStart = p.place == p.frames;
  // The frame, in the order of reading; where its states lie, and the frame that was passed before.
  let k = p.frames - 1u - min(p.place, p.frames - 1u);
  let t = select(k, p.frames - 1u - k, p.reverse != 0u);
  let before = (t + p.reverse) * slot;
  let after = select((t + 1u - p.reverse) * slot, before, isStart);
  let passed = select(t + 1u - 2u * p.reverse, t, isStart);
  let whole = select(width, 0u, p.place == 0u);
  let across = (width + UNITS - 1u) / UNITS;
  for (var tile = group.x; tile < across * ((p.batch + TOGETHER - 1u) / TOGETHER); tile += groups.x) {
    let column = tile % across * UNITS;
    let first = tile / across * TOGETHER;
    for (var e = index; e < TOGETHER * LANES; e += WIDTH) { parts[e] = 0.0f; }
    for (var base = 0u; base < whole; base += DEPTH) {
      for (var e = index; e < TOGETHER * DEPTH; e += WIDTH) {
        let i = base + e % DEPTH;
        var four = vec4f();
        if (i < width) { four = kept(passed * p.batch + min(first + e / DEPTH, p.batch - 1u), i); }
        given[e] = four;
      }
      workgroupBarrier();
      for (var e = index; e < LANES; e += WIDTH) {
        let j = column + e % UNITS;
        let s = e / UNITS * (DEPTH / SPLITS);
        if (j >= width) { continue; }
        var sums = vec4f(parts[e], parts[LANES + e], parts[2u * LANES + e], parts[3u * LANES + e]);
        let end = min(s + DEPTH / SPLITS, width - base);
        var i = s;
        for (; i + 4u <= end; i += 4u) {
          let place = (base + i) * width + j;
          let w0 = weight[place];
          let w1 = weight[place + width];
          let w2 = weight[place + 2u * width];
          let w3 = weight[place + 3u * width];
          sums += termsOf(i, w0);
          sums += termsOf(i + 1u, w1);
          sums += termsOf(i + 2u, w2);
          sums += termsOf(i + 3u, w3);
        }
        for (; i < end; i++) { sums += termsOf(i, weight[(base + i) * width + j]); }
        for (var q = 0u; q < TOGETHER; q++) { parts[q * LANES + e] = sums[q]; }
      }
      workgroupBarrier();
    }
    workgroupBarrier();
    for (var e = index; e < TOGETHER * UNITS; e += WIDTH) {
      let j = column + e % UNITS;
      let n = first + e / UNITS;
      if (j >= width || n >= p.batch) { continue; }
      let own = n * width + j;
      var d = vec2f(g[after + own], 0.0f);
      if (STATES == 2u) { d.y = g[cells + after + own]; }
      if (p.place > 0u) {
        d.x += carried[own];
        if (STATES == 2u) { d.y += carried[slot + own]; }
        // Nothing comes from a frame beyond the sequence's own, though the weights be infinite.
        let end = select(0u, SPLITS, i32(passed) < counts[n]);
        for (var s = 0u; s < end; s++) { d.x += parts[e / UNITS * LANES + s * UNITS + e % UNITS]; }
      }
      let at = t * p.batch + n;
      if (!isStart) {
        var back = Cotangents(vec4f(), d);
        if (i32(t) < counts[n]) { back = cotangentsOf(at, j, before + own, after + own, cells, d); }
        keep(at, j, back.sums);
        d = back.state;
      }
      carried[own] = d.x;
      if (STATES == 2u) { carried[slot + own] = d.y; }
    }
    workgroupBarrier();
  }
}
