// A group takes two sequences back through all frames, as recurrent/passage.wgsl forwards.

const TOGETHER = 2u;
const MOST_HIDDEN = 256u;
const MOST_SPLITS = 8u;  // threads that share a unit
override ROOM: u32 = max(WIDTH, MOST_HIDDEN);

var<workgroup> passed: array<vec2f, TOGETHER * MOST_HIDDEN>;  // cotangents of h and c on their way, but for the product
var<workgroup> given: array<vec4f, TOGETHER * MOST_HIDDEN>;   // of the sums of a frame's gates
var<workgroup> parts: array<f32, TOGETHER * ROOM>;            // of the product

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let width = p.hidden;
  let slot = p.batch * width;
  let cells = (p.frames + 1u) * slot;
  let splits = clamp(WIDTH / width, 1u, MOST_SPLITS);
  let depth = (width + splits - 1u) / splits;
  for (var first = TOGETHER * group.x; first < p.batch; first += TOGETHER * groups.x) {
    let second = min(first + 1u, p.batch - 1u);
    let units = (second - first + 1u) * width;
    let own = first * width;
    for (var e = index; e < TOGETHER * width; e += WIDTH) {
      passed[e] = vec2f();
      given[e] = vec4f();
    }
    for (var e = index; e < splits * width; e += WIDTH) {
      parts[e] = 0.0f;
      parts[ROOM + e] = 0.0f;
    }
    workgroupBarrier();
    // Backwards in the order of reading, and behind the first frame the start.
    for (var k = p.frames + 1u; k > 0u; k--) {
      let t = select(k - 2u, p.frames + 1u - k, p.reverse != 0u);
      let before = (t + p.reverse) * slot + own;
      let after = select((t + 1u - p.reverse) * slot, p.reverse * p.frames * slot, k == 1u) + own;
      for (var e = index; e < units; e += WIDTH) {
        let q = u32(e >= width);
        let j = e - q * width;
        let at = t * p.batch + first + q;
        var d = vec2f(g[after + e], 0.0f) + passed[e];
        if (STATES == 2u) { d.y += g[cells + after + e]; }
        for (var s = 0u; s < splits; s++) { d.x += parts[q * ROOM + s * width + j]; }
        if (k == 1u) {
          carried[own + e] = d.x;
          if (STATES == 2u) { carried[slot + own + e] = d.y; }
          continue;
        }
        var back = Cotangents(vec4f(), d);
        if (i32(t) < counts[first + q]) { back = cotangentsOf(at, j, before + e, after + e, cells, d); }
        given[e] = keep(at, j, back.sums);
        passed[e] = back.state;
      }
      workgroupBarrier();
      let isRead = k > 1u && i32(t) < max(counts[first], counts[second]);
      for (var e = index; e < splits * width; e += WIDTH) {
        let s = e / width;
        let j = e - s * width;
        var sum0 = 0.0f;
        var sum1 = 0.0f;
        let end = select(0u, min((s + 1u) * depth, width), isRead);
        var i = s * depth;
        // Four reads are under way at a time, whatever the compiler makes of loops.
        for (; i + 4u <= end; i += 4u) {
          let place = i * width + j;
          let w0 = weight[place];
          let w1 = weight[place + width];
          let w2 = weight[place + 2u * width];
          let w3 = weight[place + 3u * width];
          sum0 += dot(given[i], w0);
          sum1 += dot(given[width + i], w0);
          sum0 += dot(given[i + 1u], w1);
          sum1 += dot(given[width + i + 1u], w1);
          sum0 += dot(given[i + 2u], w2);
          sum1 += dot(given[width + i + 2u], w2);
          sum0 += dot(given[i + 3u], w3);
          sum1 += dot(given[width + i + 3u], w3);
        }
        for (; i < end; i++) {
          let w = weight[i * width + j];
          sum0 += dot(given[i], w);
          sum1 += dot(given[width + i], w);
        }
        // Nothing comes from a frame beyond a sequence's own, though the weights be infinite.
        parts[e] = select(0.0f, sum0, i32(t) < counts[first]);
        parts[ROOM + e] = select(0.0f, sum1, i32(t) < counts[second]);
      }
      workgroupBarrier();
    }
  }
}
