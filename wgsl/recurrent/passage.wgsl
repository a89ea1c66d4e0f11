// A group takes two sequences, which share what is read of the weights, through all frames. Several threads share a unit where there are enough, each with a
// part of the product's sum.

const TOGETHER = 2u;
const MOST_HIDDEN = 256u;
const MOST_SPLITS = 8u;  // threads that share a unit
override ROOM: u32 = max(WIDTH, MOST_HIDDEN);

var<workgroup> held: array<f32, TOGETHER * MOST_HIDDEN>;    // h, a sequence behind the other
var<workgroup> memory: array<f32, TOGETHER * MOST_HIDDEN>;  // c
var<workgroup> parts: array<vec4f, TOGETHER * ROOM>;        // of the sums

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
      var state = vec2f();
      if (e < units) {
        let begin = p.reverse * p.frames * slot + own + e;
        state.x = start[own + e];
        states[begin] = state.x;
        if (STATES == 2u) {
          state.y = start[slot + own + e];
          states[cells + begin] = state.y;
        }
      }
      held[e] = state.x;
      memory[e] = state.y;
    }
    workgroupBarrier();
    for (var k = 0u; k < p.frames; k++) {
      let t = select(k, p.frames - 1u - k, p.reverse != 0u);
      let isRead = i32(t) < max(counts[first], counts[second]);
      for (var e = index; e < splits * width; e += WIDTH) {
        let s = e / width;
        let j = e - s * width;
        var beside0 = vec4f();
        var beside1 = vec4f();
        if (s == 0u) {
          beside0 = arriving(t * p.batch + first, j);
          beside1 = arriving(t * p.batch + second, j);
        }
        var sum0 = vec4f();
        var sum1 = vec4f();
        let end = select(0u, min((s + 1u) * depth, width), isRead);
        var i = s * depth;
        // Four reads are under way at a time, whatever the compiler makes of loops.
        for (; i + 4u <= end; i += 4u) {
          let place = i * width + j;
          let w0 = weight[place];
          let w1 = weight[place + width];
          let w2 = weight[place + 2u * width];
          let w3 = weight[place + 3u * width];
          sum0 += held[i] * w0;
          sum1 += held[width + i] * w0;
          sum0 += held[i + 1u] * w1;
          sum1 += held[width + i + 1u] * w1;
          sum0 += held[i + 2u] * w2;
          sum1 += held[width + i + 2u] * w2;
          sum0 += held[i + 3u] * w3;
          sum1 += held[width + i + 3u] * w3;
        }
        for (; i < end; i++) {
          let w = weight[i * width + j];
          sum0 += held[i] * w;
          sum1 += held[width + i] * w;
        }
        parts[e] = joined(sum0, beside0);
        parts[ROOM + e] = joined(sum1, beside1);
      }
      workgroupBarrier();
      let after = (t + 1u - p.reverse) * slot + own;
      for (var e = index; e < units; e += WIDTH) {
        let q = u32(e >= width);
        let j = e - q * width;
        let at = t * p.batch + first + q;
        if (i32(t) < counts[first + q]) {
          var sums = parts[q * ROOM + j];
          for (var s = 1u; s < splits; s++) { sums += parts[q * ROOM + s * width + j]; }
          let unit = unitOf(sums, vec2f(held[e], memory[e]));
          for (var gate = 0u; gate < 4u; gate++) { gates[(at * 4u + gate) * width + j] = unit.gates[gate]; }
          held[e] = unit.state.x;
          memory[e] = unit.state.y;
        }
        states[after + e] = held[e];
        if (STATES == 2u) { states[cells + after + e] = memory[e]; }
      }
      workgroupBarrier();
    }
  }
}
