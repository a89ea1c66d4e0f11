/** The op suite on the 'metal' device: every op of the suite forward against loops in float64, and its gradient against the CPU's. */
import { type DType, sum, tensor, type Tensor, valueAndGrad } from 'tapegrad';
import type { MetalBackend } from '../../src/backends/metal/backend.js';
import { activationInfo, arithmeticInfo, comparisonInfo, transcendentalInfo } from '../ops/elementwise.js';
import type { OpInfo, Sample } from '../ops/info.js';
import { movementInfo } from '../ops/movement.js';
import { optimizerInfo } from '../ops/optimizers.js';
import { indexingInfo, productInfo } from '../ops/products.js';
import { reductionInfo } from '../ops/reductions.js';
import { spread, ulp, type Values } from '../reference.js';
import { inEveryMode } from './modes.js';

const infos: Readonly<Record<string, OpInfo>> = {
  ...arithmeticInfo, ...transcendentalInfo, ...activationInfo, ...comparisonInfo, ...movementInfo, ...reductionInfo, ...productInfo, ...indexingInfo, ...optimizerInfo,
};

/** Metal promises its functions to 4 units in the last place, and ops combine a few. */
const ULPS = 8;

const onDevice = (v: Values, device: MetalBackend, dtype: DType = 'float32'): Tensor => tensor([...v.data], { shape: v.shape, dtype }).to(device);
const onHost = (v: Values, dtype: DType = 'float64'): Tensor => tensor([...v.data], { shape: v.shape, dtype });

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
  const want = sample.want(...sample.inputs.map(rounded));
  const y = sample.run(...sample.inputs.map((v) => onDevice(v, device)));
  if (y.device !== device) return 'the result left the device';
  // A sum of many terms of both signs is right relative to the terms, not to itself.
  const size = Math.max(1, ...sample.inputs.flatMap((v) => v.data).map(Math.abs)) * 2e-6;
  return problem(await y.data(), want.data.map(Math.fround), (w) => Math.max(info.ulps ?? 0, ULPS) * ulp(w, 23) + (info.absolute ?? 0) + (info.ulps === undefined ? 0 : size));
}

async function backward(info: OpInfo, sample: Sample, device: MetalBackend): Promise<string | null> {
  const weights = spread(sample.want(...sample.inputs.map(rounded)).shape, -1, 1, 2);
  const positions = sample.inputs.map((_, i) => i);
  const value = (w: Tensor) => (...inputs: Tensor[]): Tensor => sum(sample.run(...inputs).mul(w));
  const want = valueAndGrad(value(onHost(weights)), { argnums: positions })(...sample.inputs.map((v) => onHost(rounded(v))))[1] as Tensor[];
  const got = valueAndGrad(value(onDevice(weights, device)), { argnums: positions })(...sample.inputs.map((v) => onDevice(v, device)))[1] as Tensor[];
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
