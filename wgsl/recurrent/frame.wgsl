// A group takes a few units of a few sequences through one frame; for each unit several threads, each with a part of the product's sum.

const UNITS = 32u;
const TOGETHER = 4u;  // sequences
const SPLITS = 8u;    // parts of a sum
const LANES = UNITS * SPLITS;

var<workgroup> parts: array<vec4f, TOGETHER * LANES>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let width = p.hidden;
  let slot = p.batch * width;
  let cells = (p.frames + 1u) * slot;
  let t = select(p.place, p.frames - 1u - p.place, p.reverse != 0u);
  let before = (t + p.reverse) * slot;
  let after = (t + 1u - p.reverse) * slot;
  let across = (width + UNITS - 1u) / UNITS;
  let depth = (width + SPLITS - 1u) / SPLITS;
  for (var tile = group.x; tile < across * ((p.batch + TOGETHER - 1u) / TOGETHER); tile += groups.x) {
    let column = tile % across * UNITS;
    let first = tile / across * TOGETHER;
    for (var e = index; e < LANES; e += WIDTH) {
      let j = column + e % UNITS;
      let s = e / UNITS;
      var sums = array<vec4f, TOGETHER>();
      if (j < width) {
        let end = min((s + 1u) * depth, width);
        var i = s * depth;
        // Four reads are under way at a time, whatever the compiler makes of loops.
        for (; i + 4u <= end; i += 4u) {
          let place = i * width + j;
          let w0 = weight[place];
          let w1 = weight[place + width];
          let w2 = weight[place + 2u * width];
          let w3 = weight[place + 3u * width];
          for (var q = 0u; q < TOGETHER; q++) {
            let other = min(first + q, p.batch - 1u) * width + i;
            var h: vec4f;
            if (p.place == 0u) {
              h = vec4f(start[other], start[other + 1u], start[other + 2u], start[other + 3u]);
            } else {
              h = vec4f(states[before + other], states[before + other + 1u], states[before + other + 2u], states[before + other + 3u]);
            }
            sums[q] += h.x * w0 + h.y * w1 + h.z * w2 + h.w * w3;
          }
        }
        for (; i < end; i++) {
          let w = weight[i * width + j];
          for (var q = 0u; q < TOGETHER; q++) {
            let other = min(first + q, p.batch - 1u) * width + i;
            if (p.place == 0u) { sums[q] += start[other] * w; } else { sums[q] += states[before + other] * w; }
          }
        }
      }
      for (var q = 0u; q < TOGETHER; q++) { parts[q * LANES + e] = sums[q]; }
    }
    workgroupBarrier();
    for (var e = index; e < TOGETHER * UNITS; e += WIDTH) {
      let j = column + e % UNITS;
      let n = first + e / UNITS;
      if (j >= width || n >= p.batch) { continue; }
      let own = n * width + j;
      var state = vec2f();
      if (p.place == 0u) {
        state.x = start[own];
        states[before + own] = state.x;
        if (STATES == 2u) {
          state.y = start[slot + own];
          states[cells + before + own] = state.y;
        }
      } else {
        state.x = states[before + own];
        if (STATES == 2u) { state.y = states[cells + before + own]; }
      }
      let at = t * p.batch + n;
      if (i32(t) < counts[n]) {
        var sums = vec4f();
        for (var s = 0u; s < SPLITS; s++) { sums += parts[e / UNITS * LANES + s * UNITS + e % UNITS]; }
        let unit = unitOf(joined(sums, arriving(at, j)), state);
        for (var gate = 0u; gate < 4u; gate++) { gates[(at * 4u + gate) * width + j] = unit.gates[gate]; }
        state = unit.state;
      }
      states[after + own] = state.x;
      if (STATES == 2u) { states[cells + after + own] = state.y; }
    }
    workgroupBarrier();
  }
}
