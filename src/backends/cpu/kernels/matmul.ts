import type { CpuKernel } from '../call.js';

const matmul: CpuKernel = (call) => {
  const [batch, m, n, k, strideA, strideB] = ['batch', 'm', 'n', 'k', 'strideA', 'strideB'].map((name) => call.number(name)) as [number, number, number, number, number, number];
  const [rowA, columnA] = call.number('transA') ? [1, m] : [k, 1];
  const [rowB, columnB] = call.number('transB') ? [1, k] : [n, 1];
  const [a, b] = call.inputs.map((buffer) => buffer.view());
  const out = call.outputs[0]!.view();
  for (let s = 0; s < batch; s++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let total = 0;
        for (let p = 0; p < k; p++) total += a![s * strideA + i * rowA + p * columnA]! * b![s * strideB + p * rowB + j * columnB]!;
        out[(s * m + i) * n + j] = total;
      }
    }
  }
};

export const matmulKernels = { matmul };
