// Windows over channels-last images [batch, height, width, channels]: patches side by side, their adjoint, and max pooling. IN and OUT are
// the element types, set by the backend.
// include math.wgsl

struct WindowParams {
  batch: u32, height: u32, width: u32, channels: u32, outH: u32, outW: u32,
  kernelH: u32, kernelW: u32, strideH: u32, strideW: u32, padH: u32, padW: u32, dilationH: u32, dilationW: u32,
}

// == unfold == out [batch, outH, outW, kernelH, kernelW, channels]; 0 beyond the edges
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: WindowParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = p.batch * p.outH * p.outW * p.kernelH * p.kernelW * p.channels;
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    var rest = i / p.channels;
    let kw = rest % p.kernelW;
    rest /= p.kernelW;
    let kh = rest % p.kernelH;
    rest /= p.kernelH;
    let ow = rest % p.outW;
    rest /= p.outW;
    let oh = rest % p.outH;
    let n = rest / p.outH;
    let h = i32(oh * p.strideH + kh * p.dilationH) - i32(p.padH);
    let w = i32(ow * p.strideW + kw * p.dilationW) - i32(p.padW);
    var value = IN(0);
    if (h >= 0 && h < i32(p.height) && w >= 0 && w < i32(p.width)) {
      value = x[((n * p.height + u32(h)) * p.width + u32(w)) * p.channels + i % p.channels];
    }
    out[i] = value;
  }
}

// == fold == the adjoint: each element of the image collects what the patches that saw it hold, always in the same order
@group(0) @binding(0) var<storage, read> patches: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<uniform> p: WindowParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = p.batch * p.height * p.width * p.channels;
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    let c = i % p.channels;
    let w = i / p.channels % p.width;
    let h = i / (p.channels * p.width) % p.height;
    let n = i / (p.channels * p.width * p.height);
    var total = IN(0);
    for (var kh = 0u; kh < p.kernelH; kh++) {
      let y = i32(h + p.padH) - i32(kh * p.dilationH);
      if (y < 0 || u32(y) % p.strideH != 0u || u32(y) / p.strideH >= p.outH) { continue; }
      for (var kw = 0u; kw < p.kernelW; kw++) {
        let x = i32(w + p.padW) - i32(kw * p.dilationW);
        if (x < 0 || u32(x) % p.strideW != 0u || u32(x) / p.strideW >= p.outW) { continue; }
        let window = (n * p.outH + u32(y) / p.strideH) * p.outW + u32(x) / p.strideW;
        total += patches[((window * p.kernelH + kh) * p.kernelW + kw) * p.channels + c];
      }
    }
    out[i] = total;
  }
}

// == maxPool == for each window and channel the first largest element within the image, and its position h * width + w; NaN counts as largest
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read_write> out: array<OUT>;
@group(0) @binding(2) var<storage, read_write> places: array<i32>;
@group(0) @binding(3) var<uniform> p: WindowParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = p.batch * p.outH * p.outW * p.channels;
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    let c = i % p.channels;
    let ow = i / p.channels % p.outW;
    let oh = i / (p.channels * p.outW) % p.outH;
    let n = i / (p.channels * p.outW * p.outH);
    var best = -1;
    var held = IN(0);
    for (var kh = 0u; kh < p.kernelH; kh++) {
      for (var kw = 0u; kw < p.kernelW; kw++) {
        let h = i32(oh * p.strideH + kh * p.dilationH) - i32(p.padH);
        let w = i32(ow * p.strideW + kw * p.dilationW) - i32(p.padW);
        if (h < 0 || h >= i32(p.height) || w < 0 || w >= i32(p.width)) { continue; }
        let value = x[((n * p.height + u32(h)) * p.width + u32(w)) * p.channels + c];
        // A whole number is no NaN as a float either.
        if (best >= 0 && (isNaN(f32(held)) || !(value > held || isNaN(f32(value))))) { continue; }
        best = h * i32(p.width) + w;
        held = value;
      }
    }
    out[i] = OUT(held);
    places[i] = best;
  }
}

// == maxPoolVjp == each element of the image collects the cotangents of the windows whose largest one it is, always in the same order
@group(0) @binding(0) var<storage, read> g: array<IN>;
@group(0) @binding(1) var<storage, read> places: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: WindowParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = p.batch * p.height * p.width * p.channels;
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    let c = i % p.channels;
    let w = i / p.channels % p.width;
    let h = i / (p.channels * p.width) % p.height;
    let n = i / (p.channels * p.width * p.height);
    var total = IN(0);
    // From the last element of a window to the first: its windows from the first to the last.
    for (var kh = p.kernelH; kh > 0u; kh--) {
      let y = i32(h + p.padH) - i32((kh - 1u) * p.dilationH);
      if (y < 0 || u32(y) % p.strideH != 0u || u32(y) / p.strideH >= p.outH) { continue; }
      for (var kw = p.kernelW; kw > 0u; kw--) {
        let x = i32(w + p.padW) - i32((kw - 1u) * p.dilationW);
        if (x < 0 || u32(x) % p.strideW != 0u || u32(x) / p.strideW >= p.outW) { continue; }
        let at = ((n * p.outH + u32(y) / p.strideH) * p.outW + u32(x) / p.strideW) * p.channels + c;
        if (places[at] == i32(h * p.width + w)) { total += g[at]; }
      }
    }
    out[i] = OUT(total);
  }
}
