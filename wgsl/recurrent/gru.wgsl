// The GRU: gates r, z, n and, as a fourth, the product that r is multiplied with; the state h.

const STATES = 1u;

// What the sums of a unit's gates get beside the product, at a frame of a sequence: r, z, the product's part of n with its bias, the input's part of n.
fn arriving(at: u32, j: u32) -> vec4f {
  let width = p.hidden;
  let row = at * 3u * width + j;
  return vec4f(projected[row] + bias[j], projected[row + width] + bias[width + j], bias[2u * width + j], projected[row + 2u * width]);
}

fn joined(product: vec4f, arriving: vec4f) -> vec4f { return vec4f(product.xyz, 0.0f) + arriving; }

fn unitOf(sums: vec4f, before: vec2f) -> Unit {
  let r = sigmoid(sums.x);
  let z = sigmoid(sums.y);
  let c = hyperbolicTangent(sums.w + r * sums.z);
  return Unit(vec4f(r, z, c, sums.z), vec2f(c + z * (before.x - c), 0.0f));
}
