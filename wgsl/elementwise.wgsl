// What elementwise kernels begin with; their own texts are generated from the code that the ops declare. Operands may broadcast.
// include math.wgsl

struct ElementwiseParams {
  size: u32,
  rank: u32,
  shape: array<vec4u, 2>,
  xStrides: array<vec4i, 2>,
  yStrides: array<vec4i, 2>,
  zStrides: array<vec4i, 2>,
}

// Where the operands' elements for an element of the result lie.
struct Places { x: i32, y: i32, z: i32 }

fn placesOf(element: u32) -> Places {
  var i = element;
  var at = Places(0, 0, 0);
  for (var axis = p.rank; axis > 1u; ) {
    axis -= 1u;
    let dim = p.shape[axis / 4u][axis % 4u];
    let position = i32(i % dim);
    i /= dim;
    at.x += position * p.xStrides[axis / 4u][axis % 4u];
    at.y += position * p.yStrides[axis / 4u][axis % 4u];
    at.z += position * p.zStrides[axis / 4u][axis % 4u];
  }
  at.x += i32(i) * p.xStrides[0][0];
  at.y += i32(i) * p.yStrides[0][0];
  at.z += i32(i) * p.zStrides[0][0];
  return at;
}
