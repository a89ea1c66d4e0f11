import type { CpuKernel } from '../call.js';
import { heap } from '../heap.js';

const ctcLoss: CpuKernel = (call) => {
  const wasm = heap().kernels;
  const [frames, sequences, classes, width, blank, logits, withGradient] = ['frames', 'sequences', 'classes', 'width', 'blank', 'logits', 'withGradient'].map((name) => call.number(name)) as [number, number, number, number, number, number, number];
  const isWide = call.inputs[0]!.dtype === 'float64';
  const [x, targets, inputLengths, targetLengths] = [0, 1, 2, 3].map((i) => call.in(i)) as [number, number, number, number];
  const losses = call.scratch(sequences * 8);
  const gradient = withGradient ? call.out(1) : 0;
  const tiers = call.scratch(sequences * 4);
  const workspace = call.scratch(wasm[isWide ? 'ctcLoss64Workspace' : 'ctcLossWorkspace']!(frames, classes, width, withGradient));
  wasm[isWide ? 'ctcLoss64' : 'ctcLoss']!(x, targets, inputLengths, targetLengths, 0, losses, gradient, tiers, workspace, frames, sequences, classes, width, blank, logits, 0, sequences);
  const values = new Float64Array(heap().memory.buffer, losses, sequences);
  call.outputs[0]!.view().set(values);
};

const ctcScale: CpuKernel = (call) => {
  const [sequences, classes] = [call.number('sequences'), call.number('classes')];
  const [gradient, cotangents] = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  for (let i = 0; i < out.length; i++) {
    const value = gradient![i]!;
    out[i] = value === 0 ? 0 : value * cotangents![Math.floor(i / classes) % sequences]!;
  }
};

export const ctcKernels = { ctcLoss, ctcScale };
