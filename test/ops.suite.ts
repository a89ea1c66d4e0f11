import {
  type Backend,
  device as openDevice,
  type DType,
  DTypeError,
  gradCheck,
  memory,
  scope,
  type Tensor,
  tensor,
  vjp,
} from 'tapegrad';
import { fromBfloat16, fromHalf, toBfloat16, toHalf } from '../src/half.js';
import { registerHost } from '../src/tensor/device.js';
import { opInfo } from './opinfo.js';
import type { OpInfo, Sample } from './ops/info.js';
import { sizeOf, spread, ulp, type Values, values } from './reference.js';

type Float = 'float16' | 'bfloat16' | 'float32' | 'float64';

const BITS = { float16: 10, bfloat16: 7, float32: 23, float64: 52 } as const;
const ROUND: Readonly<Record<Float, (x: number) => number>> = {
  float16: (x) => fromHalf(toHalf(x)),
  bfloat16: (x) => fromBfloat16(toBfloat16(x)),
  float32: Math.fround,
  float64: (x) => x,
};

const rounded = (v: Values, dtype: Float): Values => values(v.shape, v.data.map(ROUND[dtype]));
const made = (v: Values, dtype: DType): Tensor => tensor(v.data, { shape: v.shape, dtype });
const floats = (t: Tensor): Promise<number[]> => t.data().then((data) => Array.from(data));

/** Compares with an oracle's numbers; `allowed` gives the permitted difference for each. */
function expectClose(
  got: readonly number[],
  want: readonly number[],
  allowed: (want: number) => number,
  what: string,
): void {
  const bad = want.findIndex(
    (value, i) =>
      !(
        Object.is(got[i], value) ||
        got[i] === value ||
        (Number.isNaN(value) && Number.isNaN(got[i])) ||
        Math.abs(got[i]! - value) <= allowed(value)
      ),
  );
  if (got.length !== want.length || bad >= 0)
    throw new Error(
      `${what}: ${got.length} numbers of ${want.length}; element ${bad} is ${got[bad]}, not ${want[bad]} (off by ${Math.abs(got[bad]! - want[bad]!)}, allowed ${allowed(want[bad]!)})`,
    );
}

/** What a device may do worse than the CPU. */
export interface Slack {
  /** Units in the last place that float32 results may be off beyond what the op allows. */
  readonly ulps?: number;
  /** Numbers below the normal ones may be taken for 0. */
  readonly flushesDenormals?: boolean;
}

function tolerance(
  { ulps = 0.5, ulps64 = 8, absolute = 0, absolute64 = absolute * 1e-8 }: OpInfo,
  dtype: 'float32' | 'float64',
  slack: Slack,
): (want: number) => number {
  const [units, rest] = dtype === 'float32' ? [ulps + (slack.ulps ?? 0), absolute] : [ulps64, absolute64];
  return (want) => units * ulp(want, BITS[dtype]) + rest;
}

/** What a float32 result should be: the float64 oracle's, beyond its range infinite. */
const inRange = (v: Values, dtype: 'float32' | 'float64'): number[] =>
  v.data.map((value) => (dtype === 'float32' && !Number.isFinite(Math.fround(value)) ? Math.fround(value) : value));

/**
 * Every op of test/opinfo.ts on one device: results against oracles, gradients against differences and against float64, special values,
 * element types, refusals. While a test runs, new tensors are made on that device.
 */
export function opSuite(name: string, getDevice: () => Promise<Backend>, slack: Slack = {}): void {
  describe(`ops on ${name}`, () => {
    let backend: Backend;
    let cpu: Backend;
    beforeAll(async () => {
      cpu = await openDevice('cpu');
      backend = await getDevice();
    });
    beforeEach(() => {
      registerHost(backend);
    });
    afterEach(() => {
      registerHost(cpu);
      expect(memory(backend).scopes).toBe(0);
    });

    describe.each(Object.entries(opInfo) as [string, OpInfo][])('%s', (_op, info) => {
      test.each(['float32', 'float64'] as const)('%s results', async (dtype) => {
        if (!backend.supports(dtype)) return;
        for (const sample of info.samples) {
          const inputs = sample.inputs.map((input) => rounded(input, dtype));
          const want = sample.want(...inputs);
          const tensors = inputs.map((input) => made(input, dtype));
          const result = sample.run(...tensors);
          expect({ sample: sample.name, shape: result.shape, dtype: result.dtype, device: result.device.name }).toEqual(
            {
              sample: sample.name,
              shape: want.shape,
              dtype: info.result ?? dtype,
              device: backend.name,
            },
          );
          const got = await floats(result);
          expectClose(got, inRange(want, dtype), info.result ? () => 0 : tolerance(info, dtype, slack), sample.name);
          const inScope = scope(() => sample.run(...tensors));
          expect(await floats(inScope)).toEqual(got); // in an arena the same bits come out
        }
      });

      if (info.edges) {
        test('special values', async () => {
          for (const dtype of ['float32', 'float64'] as const) {
            if (!backend.supports(dtype)) continue;
            const edges = info
              .edges!.map(([operands, want]): [number[], number] => {
                const own = operands.map(ROUND[dtype]);
                return [own, typeof want === 'number' ? want : want(...own)];
              })
              .filter(
                ([own, want]) =>
                  !slack.flushesDenormals ||
                  [...own, want].every((value) => value === 0 || !(Math.abs(value) < 2 ** -126)),
              );
            for (const lane of [0, 1, 2, 3]) {
              const list = [...edges.slice(0, lane), ...edges]; // every value in every lane of a vector, and in the tail
              const operands = list[0]![0].map((_, i) =>
                made(
                  values(
                    [list.length],
                    list.map(([own]) => own[i]!),
                  ),
                  dtype,
                ),
              );
              const got = await floats((info.apply ?? info.samples[0]!.run)(...operands));
              list.forEach(([own, want], i) => {
                const expected = inRange(values([1], [want]), dtype)[0]!;
                const what = `${dtype}, lane ${lane}, (${own.map((x) => (Object.is(x, -0) ? '-0' : x)).join(', ')})`;
                expectClose([got[i]!], [expected], info.result ? () => 0 : tolerance(info, dtype, slack), what);
                if (expected === 0 && !info.result && want === 0)
                  expect([what, Object.is(got[i], -0)]).toEqual([what, Object.is(expected, -0)]);
              });
            }
          }
        });
      }

      if (!info.result) {
        test.each(['float16', 'bfloat16'] as const)('%s storage', async (dtype) => {
          if (!backend.supports(dtype)) return;
          for (const sample of info.samples.filter(({ forwardOnly }) => !forwardOnly)) {
            const inputs = sample.inputs.map((input) => rounded(input, dtype));
            const want = sample.want(...inputs);
            const result = sample.run(...inputs.map((input) => made(input, dtype)));
            expect([sample.name, result.dtype]).toEqual([sample.name, dtype]);
            const largest = want.data.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
            const extra = (info.storage ?? 0) * ulp(largest, BITS[dtype]) + (info.absolute ?? 0);
            expectClose(
              await floats(result),
              want.data,
              (value) => (slack.ulps ? 1.01 : 0.51) * ulp(value, BITS[dtype]) + extra,
              sample.name,
            );
          }
        });
      }

      if (info.differentiable !== false)
        gradientTests(
          info,
          () => backend,
          () => cpu,
          slack,
        );
      else if (!info.result) {
        test('is a constant to a transform', async () => {
          for (const sample of info.samples) {
            const inputs = sample.inputs.map((input) => made(input, 'float32'));
            const [, gradients] = vjp((xs: Tensor[]) => sample.run(...xs), inputs, cotangentOf(sample, 'float32'));
            for (const gradient of gradients) expect((await floats(gradient)).every((value) => value === 0)).toBe(true);
          }
        });
      }

      if (info.exact) {
        test('element types', async () => {
          for (const { name: title, run, dtype, shape, values: want } of info.exact!) {
            let result: Tensor;
            try {
              result = run();
            } catch (error) {
              if (backend.supports('float64') || !(error instanceof DTypeError)) throw error;
              continue; // a device without float64 says so
            }
            expect({ title, dtype: result.dtype, shape: result.shape }).toEqual({ title, dtype, shape });
            const units = dtype === 'float32' ? (slack.ulps ?? 0) : 0;
            const off = (value: number): number => units * Math.abs(value) * 2 ** -23;
            expectClose(await floats(result), dtype === 'float32' ? want.map(Math.fround) : want, off, title);
          }
        });
      }

      if (info.errors) {
        test('refusals', () => {
          for (const { run, error, message } of info.errors!) {
            expect(run).toThrow(message);
            expect(run).toThrow(error);
          }
        });
      }
    });
  });
}

/** Numbers of both signs in the shape of a sample's result. */
function cotangentOf(sample: Sample, dtype: Float): Tensor {
  const { shape } = sample.want(...sample.inputs.map((input) => rounded(input, dtype)));
  return made(rounded(spread(shape, -1.5, 1.5, 3), 'float32'), dtype);
}

function gradientTests(info: OpInfo, backend: () => Backend, cpu: () => Backend, slack: Slack): void {
  test('gradients of first and second order against differences', () => {
    if (!backend().supports('float64')) return;
    for (const sample of info.samples.filter(
      ({ forwardOnly, inputs }) => !forwardOnly && inputs.some(({ shape }) => sizeOf(shape) > 0),
    )) {
      try {
        const inputs = sample.inputs.map((input) => made(input, 'float64'));
        gradCheck(sample.run, inputs);
        gradCheck((...xs) => sample.run(...xs).square(), inputs, { order: 2 }); // squared, so that linear ops have second derivatives as well
      } catch (error) {
        throw new Error(`sample ${sample.name}: ${String(error)}`, { cause: error });
      }
    }
  });

  const first = (sample: Sample, inputs: Tensor[], cotangent: Tensor): Tensor[] =>
    vjp((xs: Tensor[]) => sample.run(...xs), inputs, cotangent)[1];
  const second = (sample: Sample, inputs: Tensor[], cotangent: Tensor): Tensor[] => {
    const direction = sample.inputs.map(({ shape }, i) =>
      made(rounded(spread(shape, -1, 1, i + 1), 'float32'), inputs[0]!.dtype),
    );
    return vjp(
      (xs: Tensor[]) => vjp((ys: Tensor[]) => sample.run(...ys).square(), xs, cotangent)[1],
      inputs,
      direction,
    )[1];
  };

  test.each([
    ['gradients', first, 1],
    ['second derivatives', second, 10],
  ] as const)('float32 %s against float64', async (_name, differentiate, magnified) => {
    const limit = (info.gradientError ?? 2e-6) * (slack.ulps ? 4 : 1) * magnified;
    for (const sample of magnified > 1 ? info.samples.filter(({ forwardOnly }) => !forwardOnly) : info.samples) {
      const gradients = async (dtype: 'float32' | 'float64'): Promise<number[][]> => {
        const inputs = sample.inputs.map((input) => made(rounded(input, 'float32'), dtype));
        const found = differentiate(sample, inputs, cotangentOf(sample, dtype));
        found.forEach((gradient, i) => {
          expect([gradient.dtype, gradient.shape]).toEqual([dtype, inputs[i]!.shape]);
        });
        return Promise.all(found.map(floats));
      };
      const got = await gradients('float32');
      registerHost(cpu());
      const want = await gradients('float64');
      registerHost(backend());
      got.forEach((list, i) => {
        const scale = want[i]!.reduce((top, value) => Math.max(top, Math.abs(value)), 1);
        expectClose(list, want[i]!, () => limit * scale, `sample ${sample.name}, input ${i}`);
      });
    }
  });
}
