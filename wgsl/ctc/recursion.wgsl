// The kernel ctcRecursion behind its buffers: alpha and beta, a group of threads for each sequence and direction.

override ROW: u32 = WIDTH + 2u;
var<workgroup> passed: array<vec4i, 2 * ROW>;     // blanks and labels on their way to the next threads, in two rows by turns, two threads early
var<workgroup> ends: array<vec2i, 2>;             // the last blank and the last label, when all frames have passed

const AHEAD = 8u;                                 // frames that emissions are read ahead
var<workgroup> sums: array<vec2f, AHEAD>;         // of the exponents of every eighth frame, with what rounding has lost of them

// A sum with what rounding has lost of it: there may be many exponents, of one sign.
struct Sum { total: f32, lost: f32 }

fn addTo(sum: Sum, term: f32) -> Sum {
  let next = opaque(sum.total + term);
  let back = opaque(next - sum.total);
  return Sum(next, sum.lost + ((sum.total - opaque(next - back)) + (term - back)));
}

// A position between two frames; `arriving` is the label's sum before its last emission. Mantissas are at least 1, and grow twelvefold a frame at most.
struct Position { blank: Scaled, label: Scaled, arriving: Scaled }

// s over 2^top, a power of two that is as large: 2^-126 at least, which is nothing beside what has that exponent.
fn under(s: Scaled, top: i32) -> f32 { return bitcast<f32>(bitcast<i32>(s.mantissa) + (max(s.exponent - top, -126) << 23u)); }

// A label's sum before its emission. `before` is the label of the position before, at the last frame.
fn arrivingAt(at: Position, before: Scaled, skip: i32) -> Scaled {
  let skipped = Scaled(before.mantissa, before.exponent + skip);
  let top = max(max(at.label.exponent, at.blank.exponent), skipped.exponent);
  return Scaled(under(at.label, top) + under(at.blank, top) + under(skipped, top), top);
}

// One frame for one position.
fn advance(at: Position, before: Scaled, skip: i32, blankEmission: Scaled, labelEmission: Scaled) -> Position {
  let top = max(at.blank.exponent, before.exponent);
  let blank = under(at.blank, top) + under(before, top);
  let arriving = arrivingAt(at, before, skip);
  return Position(
    Scaled(blank * blankEmission.mantissa, top + blankEmission.exponent),
    Scaled(arriving.mantissa * labelEmission.mantissa, arriving.exponent + labelEmission.exponent),
    arriving);
}

// Done before the mantissas have grown far, and the exponents of zeros have fallen below what an integer holds.
fn settled(at: Position) -> Position {
  return Position(normalised(at.blank.mantissa, at.blank.exponent), normalised(at.label.mantissa, at.label.exponent), at.arriving);
}

// What the gradient wants of a position.
fn kept(w: Walk, at: Position) -> vec2i {
  return select(pack(at.label), pack(at.arriving), w.backwards);
}

// What a thread of walkShort knows from the start: of its own label and of the one before, which it computes as well for every other frame.
struct Thread { index: u32, skip: i32, skipBefore: i32, keeps: bool }

// Emissions of two frames: the blank's, the label's, and at the first frame that of the label before.
struct Emissions { blanks: vec4i, labels: vec4i, before: vec2i }

// Where they lie, in words that wrap around when a step goes back.
struct Places { blank: u32, label: u32, before: u32, stride: u32 }

fn emissionsAt(at: Places, step: u32) -> Emissions {
  let first = step * at.stride;
  let second = first + at.stride;
  return Emissions(
    vec4i(emissions[at.blank + first], emissions[at.blank + second]),
    vec4i(emissions[at.label + first], emissions[at.label + second]),
    emissions[at.before + first]);
}

// Two frames of walkShort, the second of which the sequence may lack. The state stays in registers; blanks and labels pass to the next threads through
// the group's memory. A thread waits once for both: it computes the label before its own at the first frame itself.
fn frames(w: Walk, own: Thread, works: bool, row: u32, keepAt: u32, keepStride: u32, at: Position, e: Emissions, both: bool) -> Position {
  passed[row + own.index + 2u] = vec4i(pack(at.blank), pack(at.label));
  workgroupBarrier();
  if (!works) { return at; }
  let left = passed[row + own.index + 1u];
  let before = unpack(left.zw);
  let labelsBefore = Position(unpack(left.xy), before, NOTHING);
  let passing = arrivingAt(labelsBefore, unpack(passed[row + own.index].zw), own.skipBefore);
  let first = advance(at, before, own.skip, unpack(e.blanks.xy), unpack(e.labels.xy));
  if (own.keeps) { states[keepAt] = kept(w, first); }
  if (!both) { return first; }
  let emitted = unpack(e.before);
  let second = advance(first, Scaled(passing.mantissa * emitted.mantissa, passing.exponent + emitted.exponent), own.skip, unpack(e.blanks.zw), unpack(e.labels.zw));
  if (own.keeps) { states[keepAt + keepStride] = kept(w, second); }
  return second;
}

// Whether a path can be at a position in some of the AHEAD frames from `step` on: it has got there by then, and the labels behind can still be
// emitted. In other frames nothing flows from it to where a path can be. Small groups are faster without asking.
fn isOnWay(w: Walk, index: u32, step: u32) -> bool {
  return (WIDTH <= 96u) | ((index <= w.length) & (index < step + AHEAD) & (index + w.times >= w.length + step));
}

// A position a thread. Emissions are read eight frames ahead, so that memory works while the threads wait for each other; what is read past the
// end is of no sequence or another, and not used. Only the last frames, fewer than eight, are counted one by one.
fn walkShort(w: Walk, index: u32) {
  let left = max(index, 1u) - 1u;
  let own = Thread(index, select(ZERO, 0, skipsTo(w, index)), select(ZERO, 0, skipsTo(w, left)), p.directions == 2u && index < w.length);
  let row = (w.local * p.frames + frameAt(w, 0u)) * p.slots;
  let places = Places(row + blankSlot(), row + labelSlot(w, index), row + labelSlot(w, left), select(p.slots, 0u - p.slots, w.backwards));
  let keep = stateAt(w, 0u, index);
  let keepStride = select(p.width, 0u - p.width, w.backwards);
  let exponent = w.local * p.frames + index;
  var sum = Sum(0.0f, 0.0f);
  var at = Position(Scaled(1.0f, select(ZERO, 0, index == 0u)), NOTHING, NOTHING);
  if (index < 4u) { passed[(index >> 1u) * ROW + (index & 1u)] = vec4i(pack(NOTHING), pack(NOTHING)); }   // there is no label before the first
  var e0 = emissionsAt(places, 0u);
  var e1 = emissionsAt(places, 2u);
  var e2 = emissionsAt(places, 4u);
  var e3 = emissionsAt(places, 6u);
  var step = 0u;
  for (; step + AHEAD <= w.times; step += AHEAD) {
    let works = isOnWay(w, index, step);
    let term = exponents[exponent + step];
    at = frames(w, own, works, 0u, keep + step * keepStride, keepStride, at, e0, true);
    e0 = emissionsAt(places, step + 8u);
    at = frames(w, own, works, ROW, keep + (step + 2u) * keepStride, keepStride, at, e1, true);
    e1 = emissionsAt(places, step + 10u);
    at = settled(at);
    at = frames(w, own, works, 0u, keep + (step + 4u) * keepStride, keepStride, at, e2, true);
    e2 = emissionsAt(places, step + 12u);
    at = frames(w, own, works, ROW, keep + (step + 6u) * keepStride, keepStride, at, e3, true);
    e3 = emissionsAt(places, step + 14u);
    at = settled(at);
    sum = addTo(sum, term);
  }
  let works = isOnWay(w, index, step);
  let counts = index < AHEAD && step + index < w.times;
  let term = exponents[exponent + select(0u, step, counts)];
  if (step < w.times) { at = frames(w, own, works, 0u, keep + step * keepStride, keepStride, at, e0, step + 1u < w.times); }
  if (step + 2u < w.times) { at = frames(w, own, works, ROW, keep + (step + 2u) * keepStride, keepStride, at, e1, step + 3u < w.times); }
  at = settled(at);
  if (step + 4u < w.times) { at = frames(w, own, works, 0u, keep + (step + 4u) * keepStride, keepStride, at, e2, step + 5u < w.times); }
  if (step + 6u < w.times) { at = frames(w, own, works, ROW, keep + (step + 6u) * keepStride, keepStride, at, e3, false); }
  at = settled(at);
  if (counts) { sum = addTo(sum, term); }
  if (index < AHEAD) { sums[index] = vec2f(sum.total, sum.lost); }
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
  var sum = Sum(0.0f, 0.0f);
  for (var step = 0u; step < w.times; step++) {
    let last = own + (1u + (step & 1u)) * positions;
    let next = own + (2u - (step & 1u)) * positions;
    storageBarrier();
    if (step % AHEAD == index) { sum = addTo(sum, exponents[w.local * p.frames + step]); }
    let blankEmission = emissionAt(w, step, blankSlot());
    for (var i = index; i <= w.length; i += WIDTH) {
      let label = unpack(memory[last + i]);
      var before = NOTHING;
      if (i > 0u) { before = unpack(memory[last + i - 1u]); }
      let skip = select(ZERO, 0, skipsTo(w, i));
      let at = settled(advance(Position(unpack(memory[own + i]), label, label), before, skip, blankEmission, emissionAt(w, step, labelSlot(w, i))));
      memory[own + i] = pack(at.blank);
      memory[next + i] = pack(at.label);
      if (p.directions == 2u && i < w.length) { states[stateAt(w, step, i)] = kept(w, at); }
    }
  }
  if (index < AHEAD) { sums[index] = vec2f(sum.total, sum.lost); }
  let labels = own + (1u + (w.times & 1u)) * positions;
  for (var i = index; i <= w.length; i += WIDTH) {
    if (i == w.length) { ends[0] = memory[own + i]; }
    if (i + 1u == w.length) { ends[1] = memory[labels + i]; }
  }
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
  workgroupBarrier();
  if (w.backwards || index != 0u) { return; }
  var sum = Sum(0.0f, 0.0f);
  for (var i = 0u; i < AHEAD; i++) {
    sum = addTo(sum, sums[i].x);
    sum.lost += sums[i].y;
  }
  let total = plus(unpack(ends[0]), unpack(ends[1]));
  let loss = lossFrom(total, sum, w.times);
  totals[local] = vec4i(bitcast<i32>(total.mantissa), total.exponent, bitcast<i32>(loss), 0);
  losses[p.first + local] = loss;
}
