// A recursion runs over positions: position i is the blank before label i, and label i; position `length` is the last blank. The only inflow
// from another position is the label before. Included behind the buffers' declarations.

// One sequence in one direction. Backwards is the same walk with time and target reversed.
struct Walk {
  local: u32,      // the sequence among those at work
  times: u32,
  length: u32,
  target_: u32,    // where its labels begin in the lattice
  backwards: bool,
}

fn walkOf(local: u32, backwards: bool) -> Walk {
  let item = p.first + local;
  return Walk(local, inputLengthOf(item), targetLengthOf(item), targetOf(item), backwards);
}

fn frameAt(w: Walk, step: u32) -> u32 { return select(step, w.times - 1u - step, w.backwards); }
fn tokenAt(w: Walk, position: u32) -> u32 { return select(position, w.length - 1u - position, w.backwards); }
fn labelAt(w: Walk, position: u32) -> u32 { return u32(lattice[w.target_ + tokenAt(w, position)]); }

fn skipsTo(w: Walk, position: u32) -> bool {
  if (position == 0u || position >= w.length) { return false; }
  return labelAt(w, position) != labelAt(w, position - 1u);
}

fn blankSlot() -> u32 { return select(0u, p.blank, p.byClass != 0u); }

// Positions without a label read the blank's slot; what they compute flows nowhere.
fn labelSlot(w: Walk, position: u32) -> u32 {
  if (position >= w.length) { return blankSlot(); }
  if (p.byClass != 0u) { return labelAt(w, position); }
  return 1u + tokenAt(w, position);
}

fn emissionAt(w: Walk, step: u32, slot: u32) -> Scaled {
  return unpack(emissions[(w.local * p.frames + frameAt(w, step)) * p.slots + slot]);
}

// Where a label's state is kept.
fn stateAt(w: Walk, step: u32, position: u32) -> u32 {
  let side = select(0u, p.count, w.backwards);
  return ((side + w.local) * p.frames + frameAt(w, step)) * p.width + tokenAt(w, position);
}
