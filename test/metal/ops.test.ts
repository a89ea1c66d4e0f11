/** The op suite on the 'metal' device: every op's results and gradients against the CPU's in float64, which the suite in test/ops checks. */
import { type DType, oneHot, sum, tensor, type Tensor, valueAndGrad } from 'tapegrad';
import type { MetalBackend } from '../../src/backends/metal/backend.js';
import { activationInfo, arithmeticInfo, comparisonInfo, transcendentalInfo } from '../ops/elementwise.js';
import type { OpInfo, Sample } from '../ops/info.js';
import { movementInfo } from '../ops/movement.js';
import { optimizerInfo } from '../ops/optimizers.js';
import { indexingInfo, productInfo } from '../ops/products.js';
import { reductionInfo } from '../ops/reductions.js';
import { spread, ulp, type Values } from '../reference.js';
import { rows } from '../../src/ops/rows.js';
import { sources } from '../../src/backends/metal/generated/sources.js';
import { metalTests } from './harness.js';
import { inEveryMode } from './modes.js';
import { declared, signatureOf, watchLaunches } from './signatures.js';

// The suite's own sample makes the mask on the CPU.
const mask: Sample = { ...indexingInfo.oneHot.samples[0]!, run: (x) => x.mul(oneHot(tensor([1, 2], { dtype: 'int32' }).to(x.device), 3, x.dtype)) };

const infos: Readonly<Record<string, OpInfo>> = {
  ...arithmeticInfo, ...transcendentalInfo, ...activationInfo, ...comparisonInfo, ...movementInfo, ...reductionInfo, ...productInfo, ...indexingInfo, ...optimizerInfo,
  oneHot: { ...indexingInfo.oneHot, samples: [mask] },
};

const launched = watchLaunches();

/** Metal promises its functions to 4 units in the last place, and ops combine a few. */
const ULPS = 8;

const onDevice = (v: Values, device: MetalBackend, dtype: DType = 'float32'): Tensor => tensor([...v.data], { shape: v.shape, dtype }).to(device);
const onHost = (v: Values, dtype: DType = 'float64'): Tensor => tensor([...v.data], { shape: v.shape, dtype });

const sameShape = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((dim, i) => dim === b[i]);

/** float32 rounds the operands before anything is computed. */
const rounded = (v: Values): Values => ({ shape: v.shape, data: v.data.map(Math.fround) });

function problem(got: ArrayLike<number>, want: readonly number[], allowed: (want: number) => number): string | null {
  if (got.length !== want.length) return `${got.length} elements instead of ${want.length}`;
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i]!, want[i]!];
    const isRight = Number.isFinite(w) ? Math.abs(g - w) <= allowed(w) : Object.is(g, w);
    if (!isRight) return `element ${i} is ${g} instead of ${w}`;
  }
  return null;
}

async function forward(info: OpInfo, sample: Sample, device: MetalBackend): Promise<string | null> {
  const want = sample.run(...sample.inputs.map((v) => onHost(rounded(v))));
  const y = sample.run(...sample.inputs.map((v) => onDevice(v, device)));
  if (y.device !== device) return 'the result left the device';
  // A sum of many terms of both signs is right relative to the terms, not to itself.
  const size = Math.max(1, ...sample.inputs.flatMap((v) => v.data).map(Math.abs)) * 2e-6;
  if (!sameShape(y.shape, want.shape)) return `shape ${y.shape.join()} instead of ${want.shape.join()}`;
  return problem(await y.data(), Array.from(want.dataSync(), Math.fround), (w) => Math.max(info.ulps ?? 0, ULPS) * ulp(w, 23) + (info.absolute ?? 0) + (info.ulps === undefined ? 0 : size));
}

async function backward(info: OpInfo, sample: Sample, device: MetalBackend): Promise<string | null> {
  const weights = spread(sample.run(...sample.inputs.map((v) => onHost(v))).shape, -1, 1, 2);
  const positions = sample.inputs.map((_, i) => i);
  const value = (w: Tensor) => (...inputs: Tensor[]): Tensor => sum(sample.run(...inputs).mul(w));
  const want = valueAndGrad(value(onHost(weights)), { argnums: positions })(...sample.inputs.map((v) => onHost(rounded(v))))[1];
  const got = valueAndGrad(value(onDevice(weights, device)), { argnums: positions })(...sample.inputs.map((v) => onDevice(v, device)))[1];
  for (const [i, gradient] of want.entries()) {
    const wrong = problem(await got[i]!.data(), Array.from(gradient.dataSync()), (w) => 4 * (info.gradientError ?? 2e-6) * Math.max(1, Math.abs(w)));
    if (wrong) return `gradient of operand ${i}: ${wrong}`;
  }
  return null;
}

inEveryMode('ops on metal', ({ metal, run }) => {
  test.each(Object.entries(infos))('%s', (_, info) => run(async () => {
    for (const sample of info.samples) {
      expect([sample.name, await forward(info, sample, metal())]).toEqual([sample.name, null]);
      const isSmooth = info.differentiable !== false && !sample.forwardOnly && info.result === undefined;
      if (isSmooth && sample.inputs.length > 0) expect([sample.name, await backward(info, sample, metal())]).toEqual([sample.name, null]);
    }
  }));

  test.each(Object.entries(infos).filter(([, info]) => info.edges))('%s at special values', (_, info) => run(async () => {
    for (const [operands, want] of info.edges!) {
      const single = operands.map(Math.fround);
      const expected = Math.fround(typeof want === 'number' ? want : want(...single));
      // GPUs take numbers below the normal ones for 0.
      const tiny = [...single, expected].some((v) => v !== 0 && Math.abs(v) < 1.2e-38);
      if (tiny) continue;
      const sample = info.samples.find(({ inputs }) => inputs.length === operands.length)!;
      const y = sample.run(...single.map((v) => tensor(v).to(metal())));
      const wrong = problem([await y.item()], [expected], (w) => Math.max(info.ulps ?? 0, ULPS) * ulp(w, 23) + (info.absolute ?? 0));
      expect([operands, wrong]).toEqual([operands, null]);
    }
  }));
});

metalTests('kernels on metal', () => {
  const inFiles = Object.values(sources).flatMap((source) => [...source.matchAll(/^kernel void (\w+)\(/gm)].map(([, name]) => name!));

  test('the suite has run every kernel of metal/ but for CTC, and every elementwise op', () => {
    const names = new Set([...launched].map(({ name }) => name));
    expect([...inFiles, ...rows.keys()].filter((name) => !names.has(name) && !name.startsWith('ctc'))).toEqual([]);
  });

  test('each has the buffers and parameters that its op declares, in that order', () => {
    const kernels = [...launched];
    expect(kernels.map((kernel) => [kernel.name, signatureOf(kernel)])).toEqual(kernels.map((kernel) => [kernel.name, declared(kernel)]));
    // Objects are equal in any order, structs are not.
    expect(kernels.map((kernel) => Object.keys(signatureOf(kernel).params))).toEqual(kernels.map((kernel) => Object.keys(kernel.params)));
  });
});
