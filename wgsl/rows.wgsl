// How the threads of a group share rows: lines of `axis` elements, `inner` apart, in a tensor seen as [outer, axis, inner]. A group takes
// as many rows at once as its width allows; within a row, partial results meet in a tree of barriers. Barriers want to be reached by all
// threads alike, so what loops around them run over comes from the parameters alone.

struct Share {
  lanes: u32,      // threads of one row, a power of two
  together: u32,   // rows of a group
  lane: u32,
  place: u32,
  inRow: bool,     // false in threads that are left over
  slot: u32,       // where the thread keeps its partial result; threads left over keep theirs apart
  base: u32,       // where the row's whole result ends up
}

// Neighbouring threads read neighbouring elements: those of one row where it is contiguous, those of neighbouring rows where it is not.
fn lanesOf(axis: u32, inner: u32) -> u32 {
  var beside = 1u;   // rows that are
  while (beside < 32u && beside < inner) { beside *= 2u; }
  let limit = max(WIDTH / beside, 1u);
  var lanes = 1u;
  while (lanes * 2u <= limit && lanes < axis) { lanes *= 2u; }
  return lanes;
}

fn shareRows(axis: u32, inner: u32, index: u32) -> Share {
  var s: Share;
  s.lanes = lanesOf(axis, inner);
  s.together = WIDTH / s.lanes;
  s.lane = select(index / s.together, index % s.lanes, inner == 1u);
  s.place = select(index % s.together, index / s.lanes, inner == 1u);
  s.inRow = s.place < s.together && s.lane < s.lanes;
  s.slot = select(index, s.place * s.lanes + s.lane, s.inRow);
  s.base = select(index, s.place * s.lanes, s.inRow);
  return s;
}

fn startOf(row: u32, axis: u32, inner: u32) -> u32 { return row / inner * axis * inner + row % inner; }
