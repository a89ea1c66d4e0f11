// The LSTM: gates i, f, g, o; states h and c.

const STATES = 2u;

// What the sums of a unit's gates get beside the product, at a frame of a sequence.
fn arriving(at: u32, j: u32) -> vec4f {
  let width = p.hidden;
  let row = at * 4u * width + j;
  return vec4f(projected[row], projected[row + width], projected[row + 2u * width], projected[row + 3u * width])
      + vec4f(bias[j], bias[width + j], bias[2u * width + j], bias[3u * width + j]);
}

fn joined(product: vec4f, arriving: vec4f) -> vec4f { return product + arriving; }

fn unitOf(sums: vec4f, before: vec2f) -> Unit {
  let gates = vec4f(sigmoid(sums.x), sigmoid(sums.y), hyperbolicTangent(sums.z), sigmoid(sums.w));
  let c = gates.y * before.y + gates.x * gates.z;
  return Unit(gates, vec2f(gates.w * hyperbolicTangent(c), c));
}
