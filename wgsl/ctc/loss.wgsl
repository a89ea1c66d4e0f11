// Connectionist temporal classification (Graves et al. 2006) in three kernels: emissions, the recursion in both directions, the gradient.
// include math.wgsl

struct CtcScaleParams { frames: u32, batch: u32, classes: u32 }

// == ctcEmit ==
// emissions [count, frames, slots, 2]: exp(score), normalised and divided by 2^exponents.
// exponents [count, frames]: the exponent of the largest emission among the blank and the target's labels; NaN where the row has one.
// norms [frames, count, 2]: maximum and 1 / sum of exp(score - maximum), for the softmax in the gradient.
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> lattice: array<i32>;
@group(0) @binding(2) var<storage, read_write> emissions: array<vec2i>;
@group(0) @binding(3) var<storage, read_write> exponents: array<f32>;
@group(0) @binding(4) var<storage, read_write> norms: array<vec2f>;
@group(0) @binding(5) var<uniform> p: CtcParams;

// include ctc/common.wgsl

// What all classes of a row have in common.
struct Row { maximum: f32, logSum: f32 }

const LOG2E_HEAD = 1.4423828125f;      // log2(e) in three parts: the first has 12 digits, the first two make a float
const LOG2E_REST = 0.0003122091293334961f;
const LOG2E_LOW = 1.92596299e-8f;

// exp(value) normalised by the row. The logarithm to base 2 is kept in two floats, or improbable classes would lose digits in the exponent.
fn emission(value: f32, row: Row) -> Scaled {
  if (!isFinite(value)) { return NOTHING; }
  var d = value;
  var low = 0.0f;
  if (p.logits != 0u) {
    d = opaque(value - row.maximum);
    let back = opaque(d - value);
    low = ((value - opaque(d - back)) - (row.maximum + back)) * LOG2_E;   // what the subtraction rounded off
  }
  let high = opaque(d * LOG2_E);
  let head = upperHalf(d);
  let rest = d - head;
  low += (((head * LOG2E_HEAD - high) + head * LOG2E_REST) + rest * LOG2E_HEAD) + rest * LOG2E_REST + d * LOG2E_LOW;
  let log2p = opaque(high - row.logSum);
  let back = opaque(log2p - high);
  low += (high - opaque(log2p - back)) - (row.logSum + back);
  if (log2p < f32(IMPOSSIBLE) * 0.5f) { return NOTHING; }
  let whole = round(log2p);
  let bits = bitcast<u32>(expNearZero(((log2p - whole) + low) * LN2));
  return Scaled(bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u), i32(whole) + i32(bits >> 23u) - 127);
}

fn slotClass(slot: u32, labels: u32) -> u32 {
  if (p.byClass != 0u) { return slot; }
  if (slot == 0u) { return p.blank; }
  return u32(lattice[labels + slot - 1u]);
}

const LEAST = -0x1.fffffep+127f;   // of all floats

var<workgroup> maxima: array<f32, WIDTH>;
var<workgroup> present: array<f32, WIDTH>;
var<workgroup> sums: array<f32, WIDTH>;
var<workgroup> oddities: array<u32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let lanes = min(p.lanes, WIDTH);
  let together = WIDTH / lanes;
  let lane = index % lanes;
  let base = index - lane;
  let rowCount = p.frames * p.count;
  for (var first = group.x * together; first < rowCount; first += groups.x * together) {
    let row = first + index / lanes;
    let t = row / p.count;
    let local = row % p.count;
    let item = p.first + local;
    let active_ = row < rowCount && t < inputLengthOf(item);
    let start = (t * p.batch + item) * p.classes;
    let labels = select(0u, targetLengthOf(item), active_);
    let firstLabel = targetOf(item);

    // The largest of all classes and of those that the target can use; a row with NaN or +Infinity in it is odd, and so are logits that are all
    // -Infinity.
    var largest = LEAST;
    var used = LEAST;
    var odd = 0u;
    if (active_) {
      for (var c = lane; c < p.classes; c += lanes) {
        let v = scores[start + c];
        if (isFinite(v)) { largest = max(largest, v); } else if (bitcast<u32>(v) != 0xff800000u) { odd = 1u; }
      }
      if (lane == 0u && isFinite(scores[start + p.blank])) { used = scores[start + p.blank]; }
      for (var k = lane; k < labels; k += lanes) {
        let v = scores[start + u32(lattice[firstLabel + k])];
        if (isFinite(v)) { used = max(used, v); }
      }
    }
    maxima[index] = largest;
    present[index] = used;
    oddities[index] = odd;
    workgroupBarrier();
    for (var span = lanes / 2u; span > 0u; span /= 2u) {
      if (lane < span) {
        maxima[index] = max(maxima[index], maxima[index + span]);
        present[index] = max(present[index], present[index + span]);
        oddities[index] |= oddities[index + span];
      }
      workgroupBarrier();
    }
    let maximum = maxima[base];
    let best = present[base];
    odd = oddities[base];
    workgroupBarrier();

    var sum = 0.0f;
    if (active_ && p.logits != 0u) {
      for (var c = lane; c < p.classes; c += lanes) {
        let v = scores[start + c];
        if (isFinite(v)) { sum += exponential(v - maximum); }
      }
    }
    sums[index] = sum;
    workgroupBarrier();
    for (var span = lanes / 2u; span > 0u; span /= 2u) {
      if (lane < span) { sums[index] += sums[index + span]; }
      workgroupBarrier();
    }
    sum = sums[base];
    workgroupBarrier();

    if (active_) {
      var shared_ = Row(maximum, 0.0f);
      if (p.logits != 0u) {
        if (sum >= 1.0f) { shared_.logSum = logNormal(sum, 0.0f) * LOG2_E; } else { odd = 1u; }
      }
      var top = NOTHING;
      if (best > LEAST) { top = emission(best, shared_); }
      let frame = select(top.exponent, 0, top.exponent == ZERO);
      let at = local * p.frames + t;
      for (var slot = lane; slot < select(1u + labels, p.classes, p.byClass != 0u); slot += lanes) {
        var e = NOTHING;
        if (odd == 0u) { e = emission(scores[start + slotClass(slot, firstLabel)], shared_); }
        // A class outside the target may be likelier than all in it; it is never looked at, and must not upset the range.
        if (e.exponent != ZERO) { e.exponent = min(e.exponent - frame, 1); }
        emissions[at * p.slots + slot] = pack(e);
      }
      if (lane == 0u) {
        exponents[at] = select(f32(frame), notANumber(), odd != 0u);
        norms[row] = vec2f(maximum, select(0.0f, 1.0f / max(sum, 1.0f), p.logits != 0u));
      }
    }
  }
}

// == ctcRecursion ==
// states [2, count, frames, width, 2]: of each label, alpha after the emission and beta before it.
// losses [batch]; totals [count, 4]: see lossOf.
// memory [count, directions, 3, width + 1, 2] is scratch space, used by targets with at least as many labels as the group has threads.
@group(0) @binding(0) var<storage, read> emissions: array<vec2i>;
@group(0) @binding(1) var<storage, read> exponents: array<f32>;
@group(0) @binding(2) var<storage, read> lattice: array<i32>;
@group(0) @binding(3) var<storage, read_write> states: array<vec2i>;
@group(0) @binding(4) var<storage, read_write> losses: array<f32>;
@group(0) @binding(5) var<storage, read_write> totals: array<vec4i>;
@group(0) @binding(6) var<storage, read_write> memory: array<vec2i>;
@group(0) @binding(7) var<uniform> p: CtcParams;

// include ctc/common.wgsl
// include ctc/walk.wgsl

var<workgroup> passed: array<vec2i, 2 * WIDTH>;   // labels on their way to the next thread, in two rows by turns
var<workgroup> ends: array<vec2i, 2>;             // the last blank and the last label, when all frames have passed
var<workgroup> sums: array<f32, WIDTH>;
var<workgroup> lost: array<f32, WIDTH>;

// A position between two frames; `arriving` is the label's sum before its last emission.
struct Position { blank: Scaled, label: Scaled, arriving: Scaled }

// One frame for one position. `before` is the label of the position before, at the last frame.
fn advance(at: Position, before: Scaled, skip: i32, blankEmission: Scaled, labelEmission: Scaled) -> Position {
  let arriving = plus3(at.label, at.blank, Scaled(before.mantissa, before.exponent + skip));
  return Position(times(plus(at.blank, before), blankEmission), times(arriving, labelEmission), arriving);
}

fn keepState(w: Walk, step: u32, position: u32, at: Position) {
  if (p.directions == 2u && position < w.length) {
    if (w.backwards) { states[stateAt(w, step, position)] = pack(at.arriving); } else { states[stateAt(w, step, position)] = pack(at.label); }
  }
}

// What a thread of walkShort knows from the start.
struct Thread { index: u32, skip: i32, blankSlot: u32, labelSlot: u32 }

// The emissions of one frame for one position.
struct Emissions { blank: Scaled, label: Scaled }

fn emissionsAt(w: Walk, own: Thread, step: u32) -> Emissions {
  let within = min(step, max(w.times, 1u) - 1u);
  return Emissions(emissionAt(w, within, own.blankSlot), emissionAt(w, within, own.labelSlot));
}

// One frame of walkShort: the state stays in registers, labels pass to the next thread through the group's memory.
fn frame(w: Walk, own: Thread, step: u32, at: Position, e: Emissions) -> Position {
  let row = (step & 1u) * WIDTH;
  passed[row + own.index] = pack(at.label);
  workgroupBarrier();
  var before = NOTHING;
  if (own.index > 0u) { before = unpack(passed[row + own.index - 1u]); }
  let next = advance(at, before, own.skip, e.blank, e.label);
  keepState(w, step, own.index, next);
  return next;
}

// A position a thread. Emissions are read eight frames ahead, so that memory works while the threads wait for each other.
fn walkShort(w: Walk, index: u32) {
  let own = Thread(index, select(ZERO, 0, skipsTo(w, index)), blankSlot(), labelSlot(w, index));
  var at = Position(Scaled(1.0f, select(ZERO, 0, index == 0u)), NOTHING, NOTHING);
  var e0 = emissionsAt(w, own, 0u);
  var e1 = emissionsAt(w, own, 1u);
  var e2 = emissionsAt(w, own, 2u);
  var e3 = emissionsAt(w, own, 3u);
  var e4 = emissionsAt(w, own, 4u);
  var e5 = emissionsAt(w, own, 5u);
  var e6 = emissionsAt(w, own, 6u);
  var e7 = emissionsAt(w, own, 7u);
  for (var step = 0u; step < w.times; step += 8u) {
    let n0 = emissionsAt(w, own, step + 8u);
    let n1 = emissionsAt(w, own, step + 9u);
    let n2 = emissionsAt(w, own, step + 10u);
    let n3 = emissionsAt(w, own, step + 11u);
    let n4 = emissionsAt(w, own, step + 12u);
    let n5 = emissionsAt(w, own, step + 13u);
    let n6 = emissionsAt(w, own, step + 14u);
    let n7 = emissionsAt(w, own, step + 15u);
    at = frame(w, own, step, at, e0);
    if (step + 1u < w.times) { at = frame(w, own, step + 1u, at, e1); }
    if (step + 2u < w.times) { at = frame(w, own, step + 2u, at, e2); }
    if (step + 3u < w.times) { at = frame(w, own, step + 3u, at, e3); }
    if (step + 4u < w.times) { at = frame(w, own, step + 4u, at, e4); }
    if (step + 5u < w.times) { at = frame(w, own, step + 5u, at, e5); }
    if (step + 6u < w.times) { at = frame(w, own, step + 6u, at, e6); }
    if (step + 7u < w.times) { at = frame(w, own, step + 7u, at, e7); }
    e0 = n0;
    e1 = n1;
    e2 = n2;
    e3 = n3;
    e4 = n4;
    e5 = n5;
    e6 = n6;
    e7 = n7;
  }
  if (index == w.length) { ends[0] = pack(at.blank); }
  if (index + 1u == w.length) { ends[1] = pack(at.label); }
}

// Several positions a thread: the state lies in device memory, [blank | label | label] by position, the labels by turns.
fn walkLong(w: Walk, own: u32, index: u32) {
  let positions = p.width + 1u;
  for (var i = index; i <= w.length; i += WIDTH) {
    memory[own + i] = pack(Scaled(1.0f, select(ZERO, 0, i == 0u)));
    memory[own + positions + i] = pack(NOTHING);
  }
  for (var step = 0u; step < w.times; step++) {
    let last = own + (1u + (step & 1u)) * positions;
    let next = own + (2u - (step & 1u)) * positions;
    storageBarrier();
    let blankEmission = emissionAt(w, step, blankSlot());
    for (var i = index; i <= w.length; i += WIDTH) {
      let label = unpack(memory[last + i]);
      var before = NOTHING;
      if (i > 0u) { before = unpack(memory[last + i - 1u]); }
      let skip = select(ZERO, 0, skipsTo(w, i));
      let at = advance(Position(unpack(memory[own + i]), label, label), before, skip, blankEmission, emissionAt(w, step, labelSlot(w, i)));
      memory[own + i] = pack(at.blank);
      memory[next + i] = pack(at.label);
      keepState(w, step, i, at);
    }
  }
  let labels = own + (1u + (w.times & 1u)) * positions;
  for (var i = index; i <= w.length; i += WIDTH) {
    if (i == w.length) { ends[0] = memory[own + i]; }
    if (i + 1u == w.length) { ends[1] = memory[labels + i]; }
  }
}

// A sum with what rounding has lost of it: there may be many exponents, of one sign.
struct Sum { total: f32, lost: f32 }

fn addTo(sum: Sum, term: f32) -> Sum {
  let next = opaque(sum.total + term);
  let back = opaque(next - sum.total);
  return Sum(next, sum.lost + ((sum.total - opaque(next - back)) + (term - back)));
}

// -log of a probability that is `total` times 2 to the frames' exponents, which `sum` adds up to.
fn lossFrom(probability: Scaled, sum: Sum, frames: u32) -> f32 {
  if (isNaN(sum.total)) { return notANumber(); }
  if (probability.exponent < IMPOSSIBLE) { return infinity(); }
  var total = probability;
  // Near certainty the mantissa lies just below a power of two: taken from above, the logarithm would lose its digits.
  if (total.mantissa > 1.41421354f) {
    total.mantissa *= 0.5f;
    total.exponent += 1;
  }
  let whole = addTo(sum, f32(total.exponent));
  let loss = -(whole.total + (whole.lost + logNormal(total.mantissa, 0.0f) * LOG2_E)) * LN2;
  // Rounding may leave a certain target a little above probability one; normalised inputs cannot be meant to do so.
  let rounding = f32(frames) * 2.4e-7f;
  return select(loss, 0.0f, loss <= 0.0f && (p.logits != 0u || loss >= -rounding));
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let local = group.x / p.directions;
  let w = walkOf(local, group.x % p.directions == 1u);
  if (index == 0u) { ends[1] = pack(NOTHING); }
  workgroupBarrier();
  if (w.length < WIDTH) { walkShort(w, index); } else { walkLong(w, group.x * 3u * (p.width + 1u), index); }

  var sum = Sum(0.0f, 0.0f);
  for (var t = index; t < w.times; t += WIDTH) { sum = addTo(sum, exponents[local * p.frames + t]); }
  sums[index] = sum.total;
  lost[index] = sum.lost;
  workgroupBarrier();
  if (w.backwards || index != 0u) { return; }
  sum = Sum(0.0f, 0.0f);
  for (var i = 0u; i < min(w.times, WIDTH); i++) {
    sum = addTo(sum, sums[i]);
    sum.lost += lost[i];
  }
  let total = plus(unpack(ends[0]), unpack(ends[1]));
  let loss = lossFrom(total, sum, w.times);
  totals[local] = vec4i(bitcast<i32>(total.mantissa), total.exponent, bitcast<i32>(loss), 0);
  losses[p.first + local] = loss;
}

// == ctcGrad ==
// gradient [frames, batch, classes] of the losses: softmax - posterior from logits, -posterior from log-probabilities; 0 beyond a
// sequence's length and for impossible targets.
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> lattice: array<i32>;
@group(0) @binding(2) var<storage, read> states: array<vec2i>;
@group(0) @binding(3) var<storage, read> totals: array<vec4i>;
@group(0) @binding(4) var<storage, read> norms: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(6) var<uniform> p: CtcParams;

// include ctc/common.wgsl

const UNIT = 1073741824.0f;   // posteriors are summed as multiples of 2^-30: the order of additions does not matter then
const TILE = 2048u;           // sums that a group holds at a time

var<workgroup> sums: array<atomic<u32>, TILE>;
var<workgroup> labelled: array<atomic<u32>, WIDTH>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let lanes = min(p.lanes, WIDTH);
  let together = WIDTH / lanes;
  let tile = TILE / together;
  let lane = index % lanes;
  let place = index / lanes;
  let rowCount = p.frames * p.count;
  for (var first = group.x * together; first < rowCount; first += groups.x * together) {
    let row = first + place;
    let inRange = place < together && row < rowCount;
    let t = select(0u, row / p.count, inRange);
    let local = select(0u, row % p.count, inRange);
    let item = p.first + local;
    let at = (t * p.batch + item) * p.classes;
    let outcome = totals[local];
    let loss = lossOf(outcome);
    let inside = inRange && t < inputLengthOf(item);
    let active_ = inside && isFinite(loss);
    let length = select(0u, targetLengthOf(item), active_);
    let total = unpack(outcome.xy);
    let labels = targetOf(item);
    let alphas = (local * p.frames + t) * p.width;
    let betas = ((p.count + local) * p.frames + t) * p.width;
    let norm = norms[select(0u, row, inRange)];
    if (lane == 0u && place < together) { atomicStore(&labelled[place], 0u); }
    for (var start = 0u; start < p.classes; start += tile) {
      let end = min(start + tile, p.classes);
      if (place < together) { for (var c = start + lane; c < end; c += lanes) { atomicStore(&sums[place * tile + c - start], 0u); } }
      workgroupBarrier();
      for (var k = lane; k < length; k += lanes) {
        let c = u32(lattice[labels + k]);
        if (start > 0u && (c < start || c >= end)) { continue; }
        let alpha = unpack(states[alphas + k]);
        let beta = unpack(states[betas + k]);
        let exponent = min(alpha.exponent + beta.exponent - total.exponent, 1);
        let posterior = min(alpha.mantissa * beta.mantissa / total.mantissa * factor(exponent), 1.5f);
        let units = u32(posterior * UNIT + 0.5f);
        // The first pass sees every label, so that the blank's share is known from the start.
        if (start == 0u) { atomicAdd(&labelled[place], units); }
        if (c >= start && c < end) { atomicAdd(&sums[place * tile + c - start], units); }
      }
      workgroupBarrier();
      if (inRange) {
        let others = atomicLoad(&labelled[place]);
        for (var c = start + lane; c < end; c += lanes) {
          var g = 0.0f;
          if (active_) {
            var held = atomicLoad(&sums[place * tile + c - start]);
            if (c == p.blank) { held = u32(max(i32(UNIT) - i32(others), 0)); }
            let posterior = f32(held) / UNIT;
            var softmax = 0.0f;
            if (p.logits != 0u) { softmax = exponential(scores[at + c] - norm.x) * norm.y; }
            g = select(softmax - posterior, posterior, p.posterior != 0u);
          } else if (inside && isNaN(loss)) {
            g = notANumber();
          }
          gradient[at + c] = g;
        }
      }
      workgroupBarrier();
    }
  }
}

// == ctcScale == x [frames, batch, classes] with every sequence scaled by a number of its own. Zeros stay zeros, whatever the number.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> p: CtcScaleParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let lanes = 32u;
  let lane = id.x % lanes;
  for (var row = id.x / lanes; row < p.frames * p.batch; row += groups.x * WIDTH / lanes) {
    let factor = scale[row % p.batch];
    for (var c = lane; c < p.classes; c += lanes) {
      let at = row * p.classes + c;
      let value = x[at];
      out[at] = select(value * factor, 0.0f, magnitudeOf(value) == 0u);
    }
  }
}
