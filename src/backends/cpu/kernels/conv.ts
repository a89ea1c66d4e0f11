import type { TypedArray } from '../../backend.js';
import type { CpuCall, CpuKernel } from '../call.js';
import { withFloat32 } from './float32.js';

type Numbers<N extends number, List extends number[] = []> = List['length'] extends N
  ? List
  : Numbers<N, [...List, number]>;

const WINDOW = [
  'batch',
  'height',
  'width',
  'channels',
  'outH',
  'outW',
  'kernelH',
  'kernelW',
  'strideH',
  'strideW',
  'padH',
  'padW',
  'dilationH',
  'dilationW',
];

/** The parameters of windows over images, in order. */
export const windowSizes = (call: CpuCall): Numbers<14> => WINDOW.map((name) => call.number(name)) as Numbers<14>;

/** Calls `visit(image, patch)` with the offsets of each element's channels in the image (-1 beyond its edges) and among the patches. */
export function eachPatchElement(
  call: CpuCall,
  visit: (image: number, patch: number, position: number, first: boolean) => void,
): void {
  const [
    batch,
    height,
    width,
    channels,
    outH,
    outW,
    kernelH,
    kernelW,
    strideH,
    strideW,
    padH,
    padW,
    dilationH,
    dilationW,
  ] = windowSizes(call);
  let patch = 0;
  for (let n = 0; n < batch; n++) {
    for (let oh = 0; oh < outH; oh++) {
      for (let ow = 0; ow < outW; ow++) {
        for (let kh = 0; kh < kernelH; kh++) {
          for (let kw = 0; kw < kernelW; kw++) {
            const h = oh * strideH - padH + kh * dilationH;
            const w = ow * strideW - padW + kw * dilationW;
            const inside = h >= 0 && h < height && w >= 0 && w < width;
            visit(inside ? ((n * height + h) * width + w) * channels : -1, patch, h * width + w, kh + kw === 0);
            patch += channels;
          }
        }
      }
    }
  }
}

const unfold: CpuKernel = (call) => {
  const channels = call.number('channels');
  const x = call.inputs[0]!.view();
  const out = call.outputs[0]!.view();
  eachPatchElement(call, (image, patch) => {
    for (let c = 0; c < channels; c++) out[patch + c] = image < 0 ? 0 : x[image + c]!;
  });
};

const fold: CpuKernel = (call) => {
  const channels = call.number('channels');
  const x = call.inputs[0]!.view();
  const out = call.outputs[0]!.view();
  out.fill(0);
  eachPatchElement(call, (image, patch) => {
    if (image >= 0) for (let c = 0; c < channels; c++) out[image + c]! += x[patch + c]!;
  });
};

const maxPool: CpuKernel = (call) => {
  const channels = call.number('channels');
  const x = call.inputs[0]!.view();
  const [out, places] = call.outputs.map((buffer) => buffer.view()) as [TypedArray, TypedArray];
  let window = -channels;
  eachPatchElement(call, (image, _patch, position, first) => {
    if (first) {
      window += channels;
      places.fill(-1, window, window + channels);
    }
    if (image < 0) return;
    for (let c = 0; c < channels; c++) {
      const value = x[image + c]!;
      const held = out[window + c]!;
      if (places[window + c]! >= 0 && (Number.isNaN(held) || !(value > held || Number.isNaN(value)))) continue;
      out[window + c] = value;
      places[window + c] = position;
    }
  });
};

const maxPoolVjp: CpuKernel = (call) => {
  const channels = call.number('channels');
  const [g, places] = call.inputs.map((buffer) => buffer.view()) as [TypedArray, TypedArray];
  const out = call.outputs[0]!.view();
  out.fill(0);
  let window = -channels;
  eachPatchElement(call, (image, _patch, position, first) => {
    if (first) window += channels;
    if (image < 0) return;
    for (let c = 0; c < channels; c++) if (places[window + c] === position) out[image + c]! += g[window + c]!;
  });
};

/** Divided among the images; an element of a window costs about four multiplications. */
const overWindows = (name: string, generic: CpuKernel): CpuKernel =>
  withFloat32(
    name,
    (call) => {
      const [batch, height, width, channels, outH, outW, kernelH, kernelW, ...rest] = windowSizes(call);
      const addresses = [...call.inputs.map((_, i) => call.in(i)), ...call.outputs.map((_, i) => call.out(i))];
      const steps = [...call.inputs, ...call.outputs].map(({ length }) => (length / batch) * 4);
      return {
        total: batch,
        cost: 4 * batch * outH * outW * kernelH * kernelW * channels,
        args: (begin, end) => [
          ...addresses.map((at, i) => at + begin * steps[i]!),
          end - begin,
          height,
          width,
          channels,
          outH,
          outW,
          kernelH,
          kernelW,
          ...rest,
        ],
      };
    },
    generic,
  );

export const convKernels = {
  unfold: overWindows('unfold', unfold),
  fold: overWindows('fold', fold),
  maxPool: overWindows('maxPool', maxPool),
  maxPoolVjp: overWindows('maxPoolVjp', maxPoolVjp),
};
