// Windows over each channel by itself: channels-last images [batch, height, width, channels], taps [kernelH, kernelW, channels], windows
// [batch, outH, outW, channels]. Each kernel gives one of the three from the other two. IN and OUT are the element types, set by the backend.

struct WindowParams {
  batch: u32, height: u32, width: u32, channels: u32, outH: u32, outW: u32,
  kernelH: u32, kernelW: u32, strideH: u32, strideW: u32, padH: u32, padW: u32, dilationH: u32, dilationW: u32,
}

// == depthwise == windows' sums of x times taps
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read> taps: array<IN>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: WindowParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = p.batch * p.outH * p.outW * p.channels;
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    let c = i % p.channels;
    let ow = i / p.channels % p.outW;
    let oh = i / (p.channels * p.outW) % p.outH;
    let n = i / (p.channels * p.outW * p.outH);
    var total = IN(0);
    for (var kh = 0u; kh < p.kernelH; kh++) {
      let h = i32(oh * p.strideH + kh * p.dilationH) - i32(p.padH);
      if (h < 0 || h >= i32(p.height)) { continue; }
      for (var kw = 0u; kw < p.kernelW; kw++) {
        let w = i32(ow * p.strideW + kw * p.dilationW) - i32(p.padW);
        if (w < 0 || w >= i32(p.width)) { continue; }
        total += x[((n * p.height + u32(h)) * p.width + u32(w)) * p.channels + c] * taps[(kh * p.kernelW + kw) * p.channels + c];
      }
    }
    out[i] = total;
  }
}

// == depthwiseInput == what each element of the image gets from the windows that see it
@group(0) @binding(0) var<storage, read> g: array<IN>;
@group(0) @binding(1) var<storage, read> taps: array<IN>;
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
    for (var kh = 0u; kh < p.kernelH; kh++) {
      let y = i32(h + p.padH) - i32(kh * p.dilationH);
      if (y < 0 || u32(y) % p.strideH != 0u || u32(y) / p.strideH >= p.outH) { continue; }
      for (var kw = 0u; kw < p.kernelW; kw++) {
        let x = i32(w + p.padW) - i32(kw * p.dilationW);
        if (x < 0 || u32(x) % p.strideW != 0u || u32(x) / p.strideW >= p.outW) { continue; }
        let window = (n * p.outH + u32(y) / p.strideH) * p.outW + u32(x) / p.strideW;
        total += g[window * p.channels + c] * taps[(kh * p.kernelW + kw) * p.channels + c];
      }
    }
    out[i] = total;
  }
}

// == depthwiseTaps == for each tap the sum over all windows of x times g, by rows of windows, so that rounding does not grow with the whole batch
@group(0) @binding(0) var<storage, read> x: array<IN>;
@group(0) @binding(1) var<storage, read> g: array<IN>;
@group(0) @binding(2) var<storage, read_write> out: array<OUT>;
@group(0) @binding(3) var<uniform> p: WindowParams;

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let size = p.kernelH * p.kernelW * p.channels;
  for (var i = id.x; i < size; i += groups.x * WIDTH) {
    let c = i % p.channels;
    let kw = i / p.channels % p.kernelW;
    let kh = i / (p.channels * p.kernelW);
    var total = IN(0);
    for (var row = 0u; row < p.batch * p.outH; row++) {
      let h = i32(row % p.outH * p.strideH + kh * p.dilationH) - i32(p.padH);
      if (h < 0 || h >= i32(p.height)) { continue; }
      let line = (row / p.outH * p.height + u32(h)) * p.width;
      var part = IN(0);
      for (var ow = 0u; ow < p.outW; ow++) {
        let w = i32(ow * p.strideW + kw * p.dilationW) - i32(p.padW);
        if (w < 0 || w >= i32(p.width)) { continue; }
        part += x[(line + u32(w)) * p.channels + c] * g[(row * p.outW + ow) * p.channels + c];
      }
      total += part;
    }
    out[i] = total;
  }
}
