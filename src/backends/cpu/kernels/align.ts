import { OutOfMemoryError } from '../../../errors.js';
import type { CpuKernel } from '../call.js';
import { heap } from '../heap.js';
import { parallel } from '../pool.js';
import { addresses, lengthsOf, longestTarget, tasksOf } from './ctc.js';

/** The address space of WebAssembly. */
const MOST_BYTES = 2 ** 32;

/** Best alignments: the path of each sequence, float64 [batch, 4] of what wasm/ctc/align.ts calls results, and, where there is room, posteriors. */
const ctcAlign: CpuKernel = (call) => {
  const [frames, batch, classes] = [call.number('frames'), call.number('batch'), call.number('classes')];
  const labels = longestTarget(lengthsOf(call));
  const bytes = heap().functions.ctcAlignWorkspace!(frames, classes, labels);
  if (bytes > MOST_BYTES)
    throw new OutOfMemoryError(
      'ctcAlign',
      `${frames} frames and ${labels} labels need ${bytes} bytes of scratch memory; WebAssembly's address space ends at ${MOST_BYTES}`,
    );
  const paths = call.out(0);
  const results = call.scratch(batch * 32);
  const posterior = call.outputs[2]!.length > 0 ? call.out(2) : 0;
  const inputs = addresses(call);
  const rest = ['frameStride', 'sequenceStride', 'classes', 'width', 'blank', 'opening', 'closing', 'wildcard'];
  const numbers = rest.map((name) => call.number(name));
  parallel(
    call.inputs[0]!.dtype === 'float64' ? 'ctcAlign64' : 'ctcAlign',
    tasksOf(call, 0.5, bytes, (workspace, begin, end) => [
      ...inputs,
      paths,
      results,
      posterior,
      workspace,
      frames,
      ...numbers,
      begin,
      end,
    ]),
  );
  call.outputs[1]!.view().set(heap().f64.subarray(results / 8, results / 8 + batch * 4));
};

export const alignKernels = { ctcAlign };
