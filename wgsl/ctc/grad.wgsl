// The kernel ctcGrad behind its buffers: the posteriors of each class, summed, and what the losses' gradient is of them.

const UNIT = 1073741824.0f;   // posteriors are summed as multiples of 2^-30: the order of additions does not matter then
override TILE: u32 = 9u * WIDTH;   // sums that a group holds at a time

var<workgroup> sums: array<atomic<u32>, TILE>;
var<workgroup> labelled: array<atomic<u32>, WIDTH>;

// What the classes of a row have in common.
struct Row { at: u32, norm: vec2f, cotangent: f32, isActive: bool, inactive: f32 }

// The gradient by a class from its score, if it has been at this frame with a probability.
fn gradientOf(row: Row, score: f32, posterior: f32) -> f32 {
  if (!row.isActive) { return row.inactive; }
  var softmax = 0.0f;
  if (p.logits != 0u) { softmax = expNotPositive(score - row.norm.x) * row.norm.y; }
  let g = select(softmax - posterior, posterior, p.posterior != 0u);
  return select(g * row.cotangent, 0.0f, magnitudeOf(g) == 0u);
}

// The probability of label k at a frame, in units.
fn unitsOf(alpha: vec2i, beta: vec2i, total: Scaled, inverse: f32) -> u32 {
  // Before they are settled, the exponents of zeros may lie far below ZERO.
  let exponent = min(max(alpha.y, ZERO) + max(beta.y, ZERO) - total.exponent, 1);
  return u32(min(bitcast<f32>(alpha.x) * bitcast<f32>(beta.x) * inverse * factor(exponent), 1.5f) * UNIT + 0.5f);
}

// Adds to the sum of a place, if it lies in the part that the group holds.
fn share(base: u32, start: u32, end: u32, at: u32, units: u32) {
  if (units > 0u && at >= start && at < end) { atomicAdd(&sums[base + at - start], units); }
}

// Writes the gradient by a class whose sum the group holds, and clears it for the next row.
fn finish(row: Row, place: u32, c: u32, score: f32, blank: f32) {
  let held = f32(atomicLoad(&sums[place])) * (1.0f / UNIT);
  gradient[row.at + c] = gradientOf(row, score, select(held, blank, c == p.blank));
  atomicStore(&sums[place], 0u);
}

// Labels share the sum of their class, which lies where the class does or, of many classes, where it is first in the target.
@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let lanes = min(p.lanes, WIDTH);
  let together = WIDTH / lanes;
  let tile = TILE / together;
  let lane = index % lanes;
  let place = index / lanes;
  let base = place * tile;
  let rowCount = p.frames * p.count;
  let byClass = p.byClass != 0u;
  let places = select(p.width, p.classes, byClass);
  for (var first = group.x * together; first < rowCount; first += groups.x * together) {
    let number = first + place;
    let inRange = place < together && number < rowCount;
    let t = select(0u, number / p.count, inRange);
    let local = select(0u, number % p.count, inRange);
    let item = p.first + local;
    let outcome = totals[local];
    let loss = lossOf(outcome);
    let inside = inRange && t < inputLengthOf(item);
    let isActive = inside && isFinite(loss);
    let length = select(0u, targetLengthOf(item), isActive);
    // Labels that a path can be at: others are not reached by now, or do not reach the end.
    let behind = length + t - select(0u, inputLengthOf(item), isActive);
    let reached = select(0u, behind, i32(behind) > 0);
    let reach = min(length, t + 1u);
    let total = unpack(outcome.xy);
    let inverse = 1.0f / total.mantissa;
    let labels = targetOf(item);
    let indices = select(marksOf(item), labels, byClass);
    let alphas = (local * p.frames + t) * p.width;
    let betas = ((p.count + local) * p.frames + t) * p.width;
    var row = Row((t * p.batch + item) * p.classes, norms[select(0u, number, inRange)], 1.0f, isActive, 0.0f);
    if (p.scaled != 0u) { row.cotangent = cotangents[item]; }
    if (inside && isNaN(loss)) { row.inactive = notANumber(); }

    // Of many classes most are not in the target.
    if (inRange && !byClass) {
      var c = row.at + lane;
      let end = row.at + p.classes;
      for (; c + 3u * lanes < end; c += 4u * lanes) {
        // All are read before one is written: a compiler does not know that no score lies in the gradient.
        let v = vec4f(scores[c], scores[c + lanes], scores[c + 2u * lanes], scores[c + 3u * lanes]);
        let g = vec4f(gradientOf(row, v.x, 0.0f), gradientOf(row, v.y, 0.0f), gradientOf(row, v.z, 0.0f), gradientOf(row, v.w, 0.0f));
        gradient[c] = g.x;
        gradient[c + lanes] = g.y;
        gradient[c + 2u * lanes] = g.z;
        gradient[c + 3u * lanes] = g.w;
      }
      for (; c < end; c += lanes) { gradient[c] = gradientOf(row, scores[c], 0.0f); }
    }
    // Scores are on their way while the labels are summed.
    var early = vec4f(0.0f);
    if (inRange && byClass) {
      let last = row.at + p.classes - 1u;
      let c = row.at + lane;
      early = vec4f(scores[min(c, last)], scores[min(c + lanes, last)], scores[min(c + 2u * lanes, last)], scores[min(c + 3u * lanes, last)]);
    }
    for (var start = 0u; start < max(places, 1u); start += tile) {
      let end = min(start + tile, places);
      var own = 0u;
      for (var k = reached + lane; k < reach; k += 4u * lanes) {
        // Four labels are read at a time; those past the last count for nothing.
        let ks = vec4u(k, k + lanes, k + 2u * lanes, k + 3u * lanes);
        let within = min(ks, vec4u(reach - 1u));
        let at = vec4u(vec4i(lattice[indices + within.x], lattice[indices + within.y], lattice[indices + within.z], lattice[indices + within.w]));
        let alpha01 = vec4i(states[alphas + within.x], states[alphas + within.y]);
        let alpha23 = vec4i(states[alphas + within.z], states[alphas + within.w]);
        let beta01 = vec4i(states[betas + within.x], states[betas + within.y]);
        let beta23 = vec4i(states[betas + within.z], states[betas + within.w]);
        let units = select(vec4u(0u), vec4u(
          unitsOf(alpha01.xy, beta01.xy, total, inverse), unitsOf(alpha01.zw, beta01.zw, total, inverse),
          unitsOf(alpha23.xy, beta23.xy, total, inverse), unitsOf(alpha23.zw, beta23.zw, total, inverse)), ks < vec4u(reach));
        own += units.x + units.y + units.z + units.w;
        share(base, start, end, at.x, units.x);
        share(base, start, end, at.y, units.y);
        share(base, start, end, at.z, units.z);
        share(base, start, end, at.w, units.w);
      }
      // The first pass sees every label, so that the blank's share is known from the start.
      if (start == 0u && own > 0u) { atomicAdd(&labelled[place], own); }
      storageBarrier();
      workgroupBarrier();
      let blank = f32(max(i32(UNIT) - i32(atomicLoad(&labelled[place])), 0)) * (1.0f / UNIT);
      if (inRange && byClass) {
        let origin = base - start;
        var c = start + lane;
        if (start == 0u) {
          if (c < end) { finish(row, origin + c, c, early.x, blank); }
          if (c + lanes < end) { finish(row, origin + c + lanes, c + lanes, early.y, blank); }
          if (c + 2u * lanes < end) { finish(row, origin + c + 2u * lanes, c + 2u * lanes, early.z, blank); }
          if (c + 3u * lanes < end) { finish(row, origin + c + 3u * lanes, c + 3u * lanes, early.w, blank); }
          c += 4u * lanes;
        }
        for (; c < end; c += lanes) { finish(row, origin + c, c, scores[row.at + c], blank); }
      } else {
        for (var k = start + lane; k < min(end, length); k += lanes) {
          if (u32(lattice[indices + k]) == k) {
            let c = u32(lattice[labels + k]);
            gradient[row.at + c] = gradientOf(row, scores[row.at + c], f32(atomicLoad(&sums[base + k - start])) * (1.0f / UNIT));
            atomicStore(&sums[base + k - start], 0u);
          }
        }
        if (lane == 0u && isActive && start == 0u) { gradient[row.at + p.blank] = gradientOf(row, scores[row.at + p.blank], blank); }
      }
      workgroupBarrier();
    }
    if (lane == 0u && place < together) { atomicStore(&labelled[place], 0u); }
    workgroupBarrier();
  }
}
