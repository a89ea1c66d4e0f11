// Second derivatives of the CTC losses: the recursion of loss.wgsl on dual numbers, and its sum over classes.
// include math.wgsl

// A probability and its logarithm's derivative along the direction. The recursion on pairs of both gives alpha's and beta's derivatives;
// the Hessian is symmetric, so its product with the direction is what the backward pass wants.
struct Dual { value: Scaled, rate: f32 }

const NO_DUAL = Dual(Scaled(1.0f, ZERO), 0.0f);

fn unpackDual(bits: vec4i) -> Dual { return Dual(Scaled(bitcast<f32>(bits.x), bits.y), bitcast<f32>(bits.z)); }
fn packDual(d: Dual) -> vec4i { return vec4i(bitcast<i32>(d.value.mantissa), d.value.exponent, bitcast<i32>(d.rate), 0); }

// == ctcDual ==
// states [2, count, frames, width, 4]: as in ctcRecursion, with their rates. totals [count, 4]: the rate is added to what ctcRecursion left there.
// memory [count, 2, 3, width + 1, 4]: the state between frames, [blank | label | label] by position, the labels by turns.
@group(0) @binding(0) var<storage, read> emissions: array<vec2i>;
@group(0) @binding(1) var<storage, read> lattice: array<i32>;
@group(0) @binding(2) var<storage, read> direction: array<f32>;
@group(0) @binding(3) var<storage, read_write> states: array<vec4i>;
@group(0) @binding(4) var<storage, read_write> totals: array<vec4i>;
@group(0) @binding(5) var<storage, read_write> memory: array<vec4i>;
@group(0) @binding(6) var<uniform> p: CtcParams;

// include ctc/common.wgsl
// include ctc/walk.wgsl

// A summand that is nothing has no say, whatever its rate.
fn share(weight: f32, rate: f32) -> f32 { return select(0.0f, weight * rate, weight > 0.0f); }

fn dualPlus(a: Dual, b: Dual, c: Dual) -> Dual {
  let top = max(max(a.value.exponent, b.value.exponent), c.value.exponent);
  let u = a.value.mantissa * factor(a.value.exponent - top);
  let v = b.value.mantissa * factor(b.value.exponent - top);
  let w = c.value.mantissa * factor(c.value.exponent - top);
  return Dual(normalised(u + v + w, top), (share(u, a.rate) + share(v, b.rate) + share(w, c.rate)) / (u + v + w));
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let local = group.x / 2u;
  let item = p.first + local;
  let w = walkOf(local, group.x % 2u == 1u);
  let positions = p.width + 1u;
  let own = group.x * 3u * positions;
  for (var i = index; i <= w.length; i += WIDTH) {
    memory[own + i] = packDual(Dual(Scaled(1.0f, select(ZERO, 0, i == 0u)), 0.0f));
    memory[own + positions + i] = packDual(NO_DUAL);
  }
  for (var step = 0u; step < w.times; step++) {
    let last = own + (1u + (step & 1u)) * positions;
    let next = own + (2u - (step & 1u)) * positions;
    storageBarrier();
    let along = (frameAt(w, step) * p.batch + item) * p.classes;
    let blankEmission = emissionAt(w, step, blankSlot());
    for (var i = index; i <= w.length; i += WIDTH) {
      let blank = unpackDual(memory[own + i]);
      var before = NO_DUAL;
      if (i > 0u) { before = unpackDual(memory[last + i - 1u]); }
      let resting = dualPlus(blank, before, NO_DUAL);
      if (i < w.length) {
        var skipped = NO_DUAL;
        if (skipsTo(w, i)) { skipped = before; }
        let arriving = dualPlus(unpackDual(memory[last + i]), blank, skipped);
        let leaving = Dual(times(arriving.value, emissionAt(w, step, labelSlot(w, i))), arriving.rate + direction[along + labelAt(w, i)]);
        memory[next + i] = packDual(leaving);
        if (w.backwards) { states[stateAt(w, step, i)] = packDual(arriving); } else { states[stateAt(w, step, i)] = packDual(leaving); }
      } else {
        memory[next + i] = packDual(NO_DUAL);
      }
      memory[own + i] = packDual(Dual(times(resting.value, blankEmission), resting.rate + direction[along + p.blank]));
    }
  }
  storageBarrier();
  if (w.backwards || index != 0u) { return; }
  let labels = own + (1u + (w.times & 1u)) * positions;
  var lastLabel = NO_DUAL;
  if (w.length > 0u) { lastLabel = unpackDual(memory[labels + w.length - 1u]); }
  totals[local].w = bitcast<i32>(dualPlus(unpackDual(memory[own + w.length]), lastLabel, NO_DUAL).rate);
}

// == ctcDualGrad == product [frames, batch, classes]: the losses' second derivatives times the direction
@group(0) @binding(0) var<storage, read> scores: array<f32>;
@group(0) @binding(1) var<storage, read> lattice: array<i32>;
@group(0) @binding(2) var<storage, read> states: array<vec4i>;
@group(0) @binding(3) var<storage, read> totals: array<vec4i>;
@group(0) @binding(4) var<storage, read> norms: array<vec2f>;
@group(0) @binding(5) var<storage, read> direction: array<f32>;
@group(0) @binding(6) var<storage, read_write> product: array<f32>;
@group(0) @binding(7) var<uniform> p: CtcParams;

// include ctc/common.wgsl

// The derivative of a label's posterior, of the sequence with this outcome.
fn changeOf(alpha: Dual, beta: Dual, outcome: vec4i) -> f32 {
  let total = unpack(outcome.xy);
  let exponent = min(alpha.value.exponent + beta.value.exponent - total.exponent, 1);
  let posterior = alpha.value.mantissa * beta.value.mantissa / total.mantissa * factor(exponent);
  return select(0.0f, posterior * (alpha.rate + beta.rate - rateOf(outcome)), posterior > 0.0f);
}

var<workgroup> values: array<f32, WIDTH>;

// The sum of a value over the lanes of a row, in all of them. All threads of a group take part, for the barriers' sake.
fn rowSum(value: f32, lane: u32, lanes: u32, index: u32) -> f32 {
  values[index] = value;
  workgroupBarrier();
  for (var span = lanes / 2u; span > 0u; span /= 2u) {
    if (lane < span) { values[index] += values[index + span]; }
    workgroupBarrier();
  }
  let sum = values[index - lane];
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let lanes = min(p.lanes, WIDTH);
  let together = WIDTH / lanes;
  let lane = index % lanes;
  let rowCount = p.frames * p.count;
  for (var first = group.x * together; first < rowCount; first += groups.x * together) {
    let row = first + index / lanes;
    let inRange = row < rowCount;
    let t = select(0u, row / p.count, inRange);
    let local = select(0u, row % p.count, inRange);
    let item = p.first + local;
    let outcome = totals[local];
    let loss = lossOf(outcome);
    let inside = inRange && t < inputLengthOf(item);
    let active_ = inside && isFinite(loss);
    let isNormalised = active_ && p.logits != 0u;
    let at = (t * p.batch + item) * p.classes;
    let norm = norms[select(0u, row, inRange)];

    // The softmax's part: softmax * (direction - mean), the mean taken over the softmax.
    var mean = 0.0f;
    if (isNormalised) { for (var c = lane; c < p.classes; c += lanes) { mean += exponential(scores[at + c] - norm.x) * norm.y * direction[at + c]; } }
    mean = rowSum(mean, lane, lanes, index);
    if (inRange) {
      for (var c = lane; c < p.classes; c += lanes) {
        var part = 0.0f;
        if (isNormalised) { part = exponential(scores[at + c] - norm.x) * norm.y * (direction[at + c] - mean); }
        product[at + c] = select(part, notANumber(), inside && isNaN(loss));
      }
    }
    storageBarrier();

    // The posteriors' part. The first label of each class adds up all of that class; the blank's change is minus that of all labels.
    let length = select(0u, targetLengthOf(item), active_);
    let target_ = targetOf(item);
    let alphas = (local * p.frames + t) * p.width;
    let betas = ((p.count + local) * p.frames + t) * p.width;
    var labels = 0.0f;
    for (var k = lane; k < length; k += lanes) {
      labels += changeOf(unpackDual(states[alphas + k]), unpackDual(states[betas + k]), outcome);
      let label = lattice[target_ + k];
      var isFirst = true;
      for (var j = 0u; j < k && isFirst; j++) { isFirst = lattice[target_ + j] != label; }
      if (!isFirst) { continue; }
      var change = 0.0f;
      for (var j = k; j < length; j++) {
        if (lattice[target_ + j] == label) { change += changeOf(unpackDual(states[alphas + j]), unpackDual(states[betas + j]), outcome); }
      }
      product[at + u32(label)] -= change;
    }
    labels = rowSum(labels, lane, lanes, index);
    if (active_ && lane == 0u) { product[at + p.blank] += labels; }
    storageBarrier();
  }
}
