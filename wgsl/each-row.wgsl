// The loop of kernels that take whole rows of [outer, axis, inner]: `onRow` says what becomes of one. All threads of a group call it alike, also
// those without a row, for its barriers' sake. Included by kernels at their ends.
@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) index: u32) {
  nothing = group.z;
  let s = shareRows(p.axis, p.inner, index);
  let lanes = lanesOf(p.axis, p.inner);
  let together = WIDTH / lanes;
  for (var first = group.x * together; first < p.outer * p.inner; first += groups.x * together) { onRow(first + s.place, s, lanes); }
}
