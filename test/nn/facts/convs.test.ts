/** Convolutions, pools, losses and activations against torch: convs.json, which convs.py wrote. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tapegrad from 'tapegrad';
import { type DType, tensor, type Tensor, vjp } from 'tapegrad';

interface Fact {
  readonly op: string;
  readonly inputs: readonly { readonly shape: readonly number[]; readonly low?: number; readonly high?: number }[];
  /** What stands between the tensors and the options: a window's size, targets. */
  readonly between: readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly gradients: readonly (readonly number[])[];
}

const { torch, facts } = JSON.parse(readFileSync(join(__dirname, 'convs.json'), 'utf8')) as {
  readonly torch: string;
  readonly facts: readonly Fact[];
};

/** The numbers that convs.py computes, too. */
function wave(shape: readonly number[], phase: number, dtype: DType, low = -1, high = 1): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const data = Float64Array.from(
    { length: size },
    (_, i) => low + ((high - low) * (Math.sin(0.7 * i + phase) + 1)) / 2,
  );
  return tensor(data, { shape, dtype });
}

function call({ op, between, options }: Fact, inputs: readonly Tensor[]): Tensor {
  const functions = tapegrad as unknown as Readonly<Record<string, (...given: unknown[]) => Tensor>>;
  if (op === 'glu') return tapegrad.glu(inputs[0]!, options.axis as number | undefined);
  if (op !== 'bceWithLogits, weighted')
    return functions[op]!(...inputs, ...between, ...(Object.keys(options).length > 0 ? [options] : []));
  const [logits, targets, posWeight, weight] = inputs as [Tensor, Tensor, Tensor, Tensor];
  return tapegrad.bceWithLogits(logits, targets, { ...options, posWeight, weight });
}

/** The largest difference of two lists, relative to the largest number of the second. */
function distance(got: Tensor, want: readonly number[]): number {
  const values = Array.from(got.dataSync());
  expect(values).toHaveLength(want.length);
  const scale = want.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i]!)), 0) / scale;
}

test('they were made by the torch that they say, and many', () => {
  expect(torch).toMatch(/^1\.13/);
  expect(facts.length).toBeGreaterThan(50);
});

describe.each([
  ['float64', 1e-8],
  ['float32', 1e-5],
] as const)('%s', (dtype, allowed) => {
  test.each(facts.map((fact, i) => [`${i} ${fact.op} ${JSON.stringify(fact.options)}`, fact] as const))(
    '%s',
    (_, fact) => {
      const inputs = fact.inputs.map(({ shape, low, high }, i) => wave(shape, 0.3 + i, dtype, low, high));
      const cotangent = wave(fact.shape, 2, dtype);
      const [value, gradients] = vjp((xs: Tensor[]) => call(fact, xs), inputs, cotangent);
      expect([value.shape, value.dtype]).toEqual([fact.shape, dtype]);
      expect(distance(value, fact.values)).toBeLessThan(allowed);
      gradients.forEach((gradient, i) => {
        expect(distance(gradient, fact.gradients[i]!)).toBeLessThan(allowed);
      });
    },
  );
});
