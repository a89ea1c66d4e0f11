// The sum of a row's parts, where the threads that share it meet. Included by kernels of reduce.wgsl.
var<workgroup> sums: array<IN, WIDTH>;
var<workgroup> lost: array<IN, WIDTH>;

// Right in the row's first thread.
fn rowTotal(own: Sum, s: Share, lanes: u32) -> Sum {
  var part = own;
  sums[s.slot] = part.total;
  lost[s.slot] = part.lost;
  workgroupBarrier();
  for (var span = lanes / 2u; span > 0u; span /= 2u) {
    if (s.inRow && s.lane < span) {
      part = plus(part, sums[s.slot + span]);
      part.lost += lost[s.slot + span];
      sums[s.slot] = part.total;
      lost[s.slot] = part.lost;
    }
    workgroupBarrier();
  }
  return part;
}
