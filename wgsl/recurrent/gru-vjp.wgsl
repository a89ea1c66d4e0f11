// The GRU backwards: as recurrent/lstm-vjp.wgsl; there is no c. The cotangents of the projected input and of the product differ in n.

const STATES = 1u;

// Cotangents of the sums of r, z, the product's part of n and the input's.
fn keep(at: u32, j: u32, sums: vec4f) -> vec4f {
  let width = p.hidden;
  let row = at * 3u * width + j;
  projected[row] = sums.x;
  projected[row + width] = sums.y;
  projected[row + 2u * width] = sums.w;
  recurrent[row] = sums.x;
  recurrent[row + width] = sums.y;
  recurrent[row + 2u * width] = sums.z;
  return vec4f(sums.xyz, 0.0f);
}

// What `keep` has kept, as the product gets it.
fn kept(at: u32, j: u32) -> vec4f {
  let width = p.hidden;
  let row = at * 3u * width + j;
  return vec4f(recurrent[row], recurrent[row + width], recurrent[row + 2u * width], 0.0f);
}

fn cotangentsOf(at: u32, j: u32, before: u32, after: u32, cells: u32, d: vec2f) -> Cotangents {
  let width = p.hidden;
  let row = at * 4u * width + j;
  let r = gates[row];
  let z = gates[row + width];
  let c = gates[row + 2u * width];
  let dz = d.x * (states[before] - c) * (z * (1.0f - z));
  let dc = d.x * (1.0f - z) * (1.0f - c * c);
  let dr = dc * gates[row + 3u * width] * (r * (1.0f - r));
  return Cotangents(vec4f(dr, dz, dc * r, dc), vec2f(d.x * z, 0.0f));
}
