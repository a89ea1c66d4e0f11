import type { CpuCall, CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { type OutsideProduct, outsideProduct, WORTH_LEAVING } from '../product.js';
import { windowSizes } from './conv.js';
import { run } from './float32.js';

/** Bytes of patches that are laid out for a product from outside at a time: they should not leave the caches. */
const PATCH_BYTES = 2 ** 20;

/** A convolution at stride 1 over an image whose padding has been written out. */
interface Geometry {
  readonly image: number;
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly outH: number;
  readonly outW: number;
  readonly kernelH: number;
  readonly kernelW: number;
  readonly dilationH: number;
  readonly dilationW: number;
  /** Windows in all, and elements of one. */
  readonly positions: number;
  readonly patch: number;
}

function geometryOf(call: CpuCall): Geometry {
  const [batch, inH, inW, channels, outH, outW, kernelH, kernelW, , , padH, padW, dilationH, dilationW] =
    windowSizes(call);
  const height = outH + dilationH * (kernelH - 1);
  const width = outW + dilationW * (kernelW - 1);
  let image = call.in(0);
  if (height > inH || width > inW) {
    const padded = call.scratch(batch * height * width * channels * 4);
    heap().functions.padImages!(image, padded, batch, inH, inW, channels, padH, padW, height, width);
    image = padded;
  }
  const positions = batch * outH * outW;
  const patch = kernelH * kernelW * channels;
  const sizes = { batch, height, width, channels, outH, outW, kernelH, kernelW, dilationH, dilationW };
  return { image, ...sizes, positions, patch };
}

/** Gives the addresses of patches, some rows of windows of one image at a time, or some windows of a row, and which windows they are of. */
function eachStretch(call: CpuCall, g: Geometry, use: (patches: number, first: number, count: number) => void): void {
  const byRow = g.outH > 1 || g.kernelH > 1;
  const unit = byRow ? g.outW : 1;
  const units = byRow ? g.outH : g.outW;
  const together = Math.min(units, Math.max(1, Math.floor(PATCH_BYTES / (4 * unit * g.patch))));
  const patches = call.scratch(4 * together * unit * g.patch);
  for (let n = 0; n < g.batch; n++) {
    for (let from = 0; from < units; from += together) {
      const some = Math.min(together, units - from);
      const [outH, outW] = byRow ? [some, g.outW] : [1, some];
      const place = n * g.height * g.width + from * (byRow ? g.width : 1);
      heap().functions.unfold!(
        g.image + 4 * place * g.channels,
        patches,
        ...[1, outH + g.dilationH * (g.kernelH - 1), byRow ? g.width : some + g.dilationW * (g.kernelW - 1)],
        ...[g.channels, outH, outW, g.kernelH, g.kernelW, 1, 1, 0, 0, g.dilationH, g.dilationW],
      );
      use(patches, (n * units + from) * unit, some * unit);
    }
  }
}

/** What computes a product of this size from outside, if it should. */
const leaving = ({ positions, patch }: Geometry, channels: number): OutsideProduct | null =>
  positions * patch * channels >= WORTH_LEAVING.float32 ? outsideProduct() : null;

const conv: CpuKernel = (call) => {
  const geometry = geometryOf(call);
  const { image, height, width, channels, outH, outW, kernelH, kernelW, dilationH, dilationW } = geometry;
  const { positions, patch } = geometry;
  const [weight, out] = [call.in(1), call.out(0)];
  const n = call.outputs[0]!.length / positions;
  const multiply = leaving(geometry, n);
  if (multiply) {
    eachStretch(call, geometry, (patches, first, count) => {
      const how = { transA: false, transB: true, accumulate: false };
      multiply('float32', patches, weight, out + 4 * first * n, { m: count, n, k: patch }, how);
    });
    return;
  }
  const { convEdge, packWeight } = heap().functions;
  const panels = call.scratch(4 * (n + 8) * patch);
  packWeight!(weight, panels, n, patch);
  run('conv', {
    total: positions,
    cost: (positions * patch * n) / 4,
    grain: 4,
    args: (begin, end) => [
      ...[image, panels, out, call.scratch(convEdge!()), begin, end],
      ...[height, width, channels, outH, outW, kernelH, kernelW, dilationH, dilationW, n],
    ],
  });
};

const convWeight: CpuKernel = (call) => {
  const geometry = geometryOf(call);
  const { image, batch, height, width, channels, outH, outW, kernelH, kernelW, dilationH, dilationW } = geometry;
  const { positions, patch } = geometry;
  const [g, out] = [call.in(1), call.out(0)];
  const m = call.outputs[0]!.length / patch;
  const multiply = leaving(geometry, m);
  if (multiply) {
    eachStretch(call, geometry, (patches, first, count) => {
      const how = { transA: true, transB: false, accumulate: first > 0 };
      multiply('float32', g + 4 * first * m, patches, out, { m, n: patch, k: count }, how);
    });
    return;
  }
  run('convWeight', {
    total: patch,
    cost: (positions * patch * m) / 4,
    grain: 8,
    args: (begin, end) => [
      ...[image, g, out, call.scratch(heap().functions.convWeightScratch!(m)), begin, end],
      ...[batch, height, width, channels, outH, outW, kernelH, kernelW, dilationH, dilationW, m],
    ],
  });
};

export const convolutionKernels = { conv, convWeight };
