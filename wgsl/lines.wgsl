// What is summed over lines of x, for kernels of one input: lines of `axis` elements, `inner` apart. Included behind the buffers' declarations.
struct Line { start: u32, axis: u32, inner: u32, isActive: bool }

fn lineOf(row: u32, axis: u32, inner: u32, isActive: bool) -> Line {
  return Line(startOf(select(0u, row, isActive), axis, inner), axis, inner, isActive);
}

fn at(line: Line, j: u32) -> f32 { return x[line.start + j * line.inner]; }

// A sum that leaves the range of float is taken again of smaller terms.
fn rowMean(line: Line, s: Share, lanes: u32) -> f32 {
  let count = f32(line.axis);
  var sum = Sum(0.0f, 0.0f);
  if (line.isActive) { for (var j = s.lane; j < line.axis; j += s.lanes) { sum = plus(sum, at(line, j)); } }
  let mean = rowSum(sum, s, lanes) / count;
  let again = line.isActive && !isFinite(mean) && line.axis > 0u;
  var small = Sum(0.0f, 0.0f);
  if (again) { for (var j = s.lane; j < line.axis; j += s.lanes) { small = plus(small, at(line, j) / count); } }
  let retaken = rowSum(small, s, lanes);
  return select(mean, retaken, again);
}

// What the mean, rounded to float, leaves of the elements' own: (x - mean) - rest keeps the digits of small deviations from a large mean.
fn rowRest(line: Line, mean: f32, s: Share, lanes: u32) -> f32 {
  var sum = Sum(0.0f, 0.0f);
  if (line.isActive && isFinite(mean)) { for (var j = s.lane; j < line.axis; j += s.lanes) { sum = plus(sum, at(line, j) - mean); } }
  let rest = rowSum(sum, s, lanes) / f32(line.axis);
  return select(0.0f, rest, isFinite(rest));
}

struct Squares { sum: f32, unit: f32 }

// The sum of squared distances from `center + rest`, over the square of `unit`: the power of two below the largest distance, so that they are
// in range.
fn rowSquares(line: Line, center: f32, rest: f32, s: Share, lanes: u32) -> Squares {
  var own = 0.0f;
  if (line.isActive) { for (var j = s.lane; j < line.axis; j += s.lanes) { own = larger(own, abs((at(line, j) - center) - rest)); } }
  let most = rowMax(own, s, lanes);
  var unit = 1.0f;
  if (magnitudeOf(most) > 0u && isFinite(most)) {
    let power = bitcast<f32>(bitcast<u32>(most) & 0x7f800000u);
    unit = select(most, power, power > 0.0f);
  }
  var sum = Sum(0.0f, 0.0f);
  if (line.isActive) {
    for (var j = s.lane; j < line.axis; j += s.lanes) {
      let distance = ((at(line, j) - center) - rest) / unit;
      sum = plus(sum, distance * distance);
    }
  }
  return Squares(rowSum(sum, s, lanes), unit);
}
