// The LSTM backwards: `states` before and behind the frame are at the places `before` and `after`, those of c `cells` behind them.

const STATES = 2u;

// Cotangents of the gates' sums, which are the projected input's and the product's.
fn keep(at: u32, j: u32, sums: vec4f) -> vec4f {
  let width = p.hidden;
  let row = at * 4u * width + j;
  projected[row] = sums.x;
  projected[row + width] = sums.y;
  projected[row + 2u * width] = sums.z;
  projected[row + 3u * width] = sums.w;
  return sums;
}

// What `keep` has kept, as the product gets it.
fn kept(at: u32, j: u32) -> vec4f {
  let width = p.hidden;
  let row = at * 4u * width + j;
  return vec4f(projected[row], projected[row + width], projected[row + 2u * width], projected[row + 3u * width]);
}

fn cotangentsOf(at: u32, j: u32, before: u32, after: u32, cells: u32, d: vec2f) -> Cotangents {
  let width = p.hidden;
  let row = at * 4u * width + j;
  let i = gates[row];
  let f = gates[row + width];
  let c = gates[row + 2u * width];
  let o = gates[row + 3u * width];
  let shown = hyperbolicTangent(states[cells + after]);
  let dc = d.y + d.x * o * (1.0f - shown * shown);
  let sums = vec4f(dc * c * (i * (1.0f - i)), dc * states[cells + before] * (f * (1.0f - f)), dc * i * (1.0f - c * c), d.x * shown * (o * (1.0f - o)));
  return Cotangents(sums, vec2f(0.0f, dc * f));
}
