// The kernel ctcEmit behind its buffers: rows of scores become emission probabilities.

// What all classes of a row have in common: the largest, the sum of exp(score - maximum) over the others, and 1 / (1 + others).
struct Row { maximum: f32, others: f32, inverse: f32 }

const LOG2E_HEAD = 1.4423828125f;      // log2(e) in three parts: the first has 12 digits, the first two make a float
const LOG2E_REST = 0.0003122091293334961f;
const LOG2E_LOW = 1.92596299e-8f;

// 1 / (1 + x) to the last digit, for what is coming of it a thousand times over.
fn inverseOfOnePlus(x: f32) -> f32 {
  let sum = opaque(1.0f + x);
  let part = opaque(sum - 1.0f);
  let lost = (1.0f - opaque(sum - part)) + (x - part);
  let q = opaque(1.0f / sum);
  let qHead = upperHalf(q);
  let head = upperHalf(sum);
  let error = ((((1.0f - head * qHead) - head * (q - qHead)) - (sum - head) * qHead) - (sum - head) * (q - qHead)) - lost * q;
  return q + q * error;
}

const FAR = 0x42b00000u;   // 88: up to 127 times the upper part of ln 2 is exact

// exp(value) normalised by the row. Far from the maximum the logarithm to base 2 is kept in two floats, or improbable classes would lose digits in the exponent.
fn emission(value: f32, row: Row) -> Scaled {
  if (!isFinite(value)) { return NOTHING; }
  var d = value;
  var lost = 0.0f;
  if (p.logits != 0u) {
    d = opaque(value - row.maximum);
    let back = opaque(d - value);
    lost = (value - opaque(d - back)) - (row.maximum + back);   // what the subtraction rounded off
  }
  if (magnitudeOf(d) < FAR) {
    let n = round(d * LOG2_E);
    let bits = bitcast<u32>(row.inverse + row.inverse * expNearZeroLessOne(lessMultiple(d, n) + lost));   // rounded once
    return Scaled(bitcast<f32>((bits & 0x7fffffu) | 0x3f800000u), i32(n) + i32(bits >> 23u) - 127);
  }
  let high = opaque(d * LOG2_E);
  let head = upperHalf(d);
  let rest = d - head;
  var low = lost * LOG2_E + ((((head * LOG2E_HEAD - high) + head * LOG2E_REST) + rest * LOG2E_HEAD) + rest * LOG2E_REST + d * LOG2E_LOW);
  let logSum = select(0.0f, logOnePlus(row.others) * LOG2_E, p.logits != 0u);
  let log2p = opaque(high - logSum);
  let back = opaque(log2p - high);
  low += (high - opaque(log2p - back)) - (logSum + back);
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

var<workgroup> tops: array<vec4f, WIDTH>;   // the largest, the largest that the target can use, what is odd, and whose the largest is
var<workgroup> others: array<f32, WIDTH>;

fn see(seen: Seen, v: f32) -> Seen {
  if (!isFinite(v)) { return Seen(seen.largest, seen.others, seen.used, select(1.0f, seen.odd, bitcast<u32>(v) == 0xff800000u)); }
  let e = expNotPositive(min(seen.largest, v) - max(seen.largest, v));
  return Seen(max(seen.largest, v), select((seen.others + 1.0f) * e, seen.others + e, seen.largest >= v), seen.used, seen.odd);
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
    // The row's largest is that of the first thread which has seen it; all else is summed.
    tops[index] = vec4f(seen.largest, seen.used, seen.odd, f32(lane));
    workgroupBarrier();
    for (var span = lanes / 2u; span > 0u; span /= 2u) {
      if (lane < span) {
        let a = tops[index];
        let b = tops[index + span];
        tops[index] = vec4f(max(a.xyz, b.xyz), select(a.w, b.w, b.x > a.x));
      }
      workgroupBarrier();
    }
    let best = tops[base];
    others[index] = (seen.others + select(1.0f, 0.0f, f32(lane) == best.w)) * expNotPositive(seen.largest - best.x);
    workgroupBarrier();
    for (var span = lanes / 2u; span > 0u; span /= 2u) {
      if (lane < span) { others[index] += others[index + span]; }
      workgroupBarrier();
    }
    let sum = others[base];

    if (active_) {
      let odd = best.z != 0.0f || (p.logits != 0u && sum < 0.0f);
      let rest = max(sum, 0.0f);
      let shared_ = Row(best.x, rest, select(1.0f, inverseOfOnePlus(rest), p.logits != 0u));
      var top = NOTHING;
      if (best.y > LEAST) { top = emission(best.y, shared_); }
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
        norms[row] = vec2f(shared_.maximum, select(0.0f, shared_.inverse, p.logits != 0u));
      }
    }
  }
}
