fn sizeOfMove() -> u32 {
  var size = 1u;
  for (var axis = 0u; axis < p.rank; axis++) { size *= p.shape[axis / 4u][axis % 4u]; }
  return size;
}

fn moveOf(element: u32) -> Move {
  var rest = element;
  var at = Move(p.sourceOffset, p.outOffset);
  for (var axis = p.rank; axis > 0u; ) {
    axis -= 1u;
    let dim = p.shape[axis / 4u][axis % 4u];
    let position = i32(rest % dim);
    rest /= dim;
    at.read += position * p.sourceStrides[axis / 4u][axis % 4u];
    at.write += position * p.outStrides[axis / 4u][axis % 4u];
  }
  return at;
}
