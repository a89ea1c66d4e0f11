// include math.wgsl

// A sum with what rounding has lost of it: right to its last digit or two at any length. There is no double here.
struct Sum { total: f32, lost: f32 }

fn plus(sum: Sum, v: f32) -> Sum {
  let next = opaque(sum.total + v);
  let back = opaque(next - sum.total);
  return Sum(next, sum.lost + ((sum.total - opaque(next - back)) + (v - back)));
}

fn valueOf(sum: Sum) -> f32 { return select(sum.total, sum.total + sum.lost, isFinite(sum.lost)); }
