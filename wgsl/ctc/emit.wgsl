// The kernel ctcEmit behind its buffers: rows of scores become emission probabilities.

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

// What has been seen of a row: the largest of all classes, the sum of exp(score - largest) over the others, the largest of those that the target can
// use, and 1 after NaN or +Infinity. The largest is left out of the sum, or a net that is sure would lose its digits. Before all, nothing is the largest,
// and the sum is -1.
struct Seen { largest: f32, others: f32, used: f32, odd: f32 }

const UNSEEN = Seen(LEAST, -1.0f, LEAST, 0.0f);

var<workgroup> near_: array<Seen, WIDTH>;   // by thread
var<workgroup> far: array<Seen, WIDTH>;     // by thread, of all those near it

fn sumOf(a: Seen, b: Seen) -> Seen {
  let e = expNotPositive(min(a.largest, b.largest) - max(a.largest, b.largest));
  let others = select(b.others + (a.others + 1.0f) * e, a.others + (b.others + 1.0f) * e, a.largest >= b.largest);
  return Seen(max(a.largest, b.largest), others, max(a.used, b.used), max(a.odd, b.odd));
}

fn see(seen: Seen, v: f32) -> Seen {
  if (!isFinite(v)) { return Seen(seen.largest, seen.others, seen.used, select(1.0f, seen.odd, bitcast<u32>(v) == 0xff800000u)); }
  return sumOf(seen, Seen(v, 0.0f, LEAST, 0.0f));
}

fn see4(seen: Seen, v: vec4f) -> Seen {
  let size = max(max(magnitudeOf(v.x), magnitudeOf(v.y)), max(magnitudeOf(v.z), magnitudeOf(v.w)));
  if (size >= 0x7f800000u) { return see(see(see(see(seen, v.x), v.y), v.z), v.w); }
  let xy = max(v.x, v.y);
  let zw = max(v.z, v.w);
  let top = max(xy, zw);
  let largest = max(top, seen.largest);
  if (p.logits == 0u) { return Seen(largest, seen.others, seen.used, seen.odd); }
  let e = expNotPositive(min(top, seen.largest) - largest);
  let rest = (expNotPositive(min(v.x, v.y) - largest) + expNotPositive(min(v.z, v.w) - largest)) + expNotPositive(min(xy, zw) - largest);
  return Seen(largest, (seen.others * select(1.0f, e, top > seen.largest) + e) + rest, seen.used, seen.odd);
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let lanes = min(p.lanes, WIDTH);
  let together = WIDTH / lanes;
  let lane = index % lanes;
  let base = index - lane;
  let near = min(lanes, 8u);
  let nearBase = index - index % near;
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

    // A row with NaN or +Infinity in it is odd, and so are logits that are all -Infinity.
    var seen = UNSEEN;
    if (active_) {
      var c = lane;
      for (; c + 3u * lanes < p.classes; c += 4u * lanes) {
        let at = start + c;
        seen = see4(seen, vec4f(scores[at], scores[at + lanes], scores[at + 2u * lanes], scores[at + 3u * lanes]));
      }
      for (; c < p.classes; c += lanes) { seen = see(seen, scores[start + c]); }
      let marks = marksOf(item);
      for (var slot = lane; slot < select(1u + labels, p.classes, p.byClass != 0u); slot += lanes) {
        let v = scores[start + slotClass(slot, firstLabel)];
        if (isFinite(v) && (p.byClass == 0u || lattice[marks + slot] != 0)) { seen.used = max(seen.used, v); }
      }
    }
    near_[index] = seen;
    workgroupBarrier();
    seen = near_[nearBase];
    for (var i = 1u; i < near; i++) { seen = sumOf(seen, near_[nearBase + i]); }
    far[index] = seen;
    workgroupBarrier();
    seen = far[base];
    for (var i = near; i < lanes; i += near) { seen = sumOf(seen, far[base + i]); }

    if (active_) {
      var odd = seen.odd != 0.0f;
      var shared_ = Row(seen.largest, 0.0f);
      if (p.logits != 0u) {
        if (seen.others >= 0.0f) { shared_.logSum = logOnePlus(seen.others) * LOG2_E; } else { odd = true; }
      }
      var top = NOTHING;
      if (seen.used > LEAST) { top = emission(seen.used, shared_); }
      let frame = select(top.exponent, 0, top.exponent == ZERO);
      let at = local * p.frames + t;
      for (var slot = lane; slot < select(1u + labels, p.classes, p.byClass != 0u); slot += lanes) {
        var e = NOTHING;
        if (!odd) { e = emission(scores[start + slotClass(slot, firstLabel)], shared_); }
        // A class outside the target may be likelier than all in it; it is never looked at, and must not upset the range.
        if (e.exponent != ZERO) { e.exponent = min(e.exponent - frame, 1); }
        emissions[at * p.slots + slot] = pack(e);
      }
      if (lane == 0u) {
        exponents[at] = select(f32(frame), notANumber(), odd);
        norms[row] = vec2f(seen.largest, select(0.0f, 1.0f / (1.0f + max(seen.others, 0.0f)), p.logits != 0u));
      }
    }
  }
}
