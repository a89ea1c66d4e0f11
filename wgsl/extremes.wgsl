// The most extreme element of a row, and where it is: NaN before all, then the first of equals. All threads of a group take part, for the
// barriers' sake. Included behind the buffers' declarations.
struct Extreme { value: IN, at: u32 }

const NOWHERE = 0xffffffffu;
var<workgroup> values: array<IN, WIDTH>;
var<workgroup> positions: array<u32, WIDTH>;

fn beats(a: Extreme, b: Extreme, largest: bool) -> bool {
  // A whole number is no NaN as a float either.
  let oddA = isNaN(f32(a.value));
  let oddB = isNaN(f32(b.value));
  if (oddA || oddB) { return oddA && (!oddB || a.at < b.at); }
  if (a.value == b.value) { return a.at < b.at; }
  return select((a.value < b.value), (a.value > b.value), largest);
}

fn moreExtreme(a: Extreme, b: Extreme, largest: bool) -> Extreme {
  if (b.at == NOWHERE) { return a; }
  if (a.at == NOWHERE || beats(b, a, largest)) { return b; }
  return a;
}

fn extremeOf(row: u32, s: Share, largest: bool) -> Extreme {
  var best = Extreme(IN(0), NOWHERE);
  if (s.inRow && row < p.outer * p.inner) {
    let start = startOf(row, p.axis, p.inner);
    for (var j = s.lane; j < p.axis; j += s.lanes) { best = moreExtreme(best, Extreme(x[start + j * p.inner], j), largest); }
  }
  values[s.slot] = best.value;
  positions[s.slot] = best.at;
  workgroupBarrier();
  for (var span = lanesOf(p.axis, p.inner) / 2u; span > 0u; span /= 2u) {
    if (s.inRow && s.lane < span) {
      best = moreExtreme(best, Extreme(values[s.slot + span], positions[s.slot + span]), largest);
      values[s.slot] = best.value;
      positions[s.slot] = best.at;
    }
    workgroupBarrier();
  }
  return best;
}
