import * as tapegrad from 'tapegrad';
import { memory, nn, optim, OutOfMemoryError, Random, TapegradError, Tensor } from 'tapegrad';
import { JUNK, type Row, ROWS, takes } from './arguments.rows.js';

/** Transforms made of others: what these refuse is said in their name. */
const TRANSFORMS = /^(hvp|hessian|jacobian|gradCheck)$/;

/** What a call ends in: null for a refusal as it should be or a legal result, else what is wrong. */
async function fault(name: string, row: Row, given: readonly unknown[], mayReturn: boolean): Promise<string | null> {
  try {
    await row.call(...given);
    return mayReturn ? null : 'returned';
  } catch (error) {
    if (!(error instanceof TapegradError)) return `died with ${String(error)}`;
    if (error instanceof OutOfMemoryError) return null;
    const tags = row.tags ?? [name.split('.').at(-1)!, ...(TRANSFORMS.test(name) ? ['grad', 'vjp'] : [])];
    if (!tags.includes(error.op)) return `is tagged ${error.op}: ${error.message}`;
    if (error.message.length > 400) return `says too much: ${error.message.length} characters`;
    return null;
  }
}

const names = (object: object): string[] => Object.getOwnPropertyNames(object).filter((name) => name !== 'constructor');
/** Members that are no business of callers. */
const INTERNAL = ['glance', 'rawData', 'rawDataSync', 'checkAlive', 'checkSingle', 'order', 'fill'];

test('every export has a row', () => {
  const isError = (value: unknown): boolean =>
    typeof value === 'function' && (value === TapegradError || value.prototype instanceof TapegradError);
  const wanted = [
    ...Object.entries(tapegrad).flatMap(([name, value]) =>
      ['nn', 'optim', 'Tensor', 'Random'].includes(name) || isError(value) ? [] : [name],
    ),
    ...Object.keys(nn).flatMap((name) => [`nn.${name}`, `nn.${name}.init`, `nn.${name}.apply`]),
    ...Object.keys(optim).map((name) => `optim.${name}`),
    ...['sgd', 'adam', 'adamw'].flatMap((name) => [`optim.${name}.init`, `optim.${name}.update`]),
    ...Object.entries(Object.getOwnPropertyDescriptors(Tensor.prototype)).flatMap(([name, { value }]) =>
      typeof value === 'function' && name !== 'constructor' && !INTERNAL.includes(name) ? [`Tensor.${name}`] : [],
    ),
    ...names(Random.prototype).flatMap((name) =>
      name === 'state' || INTERNAL.includes(name) ? [] : [`Random.${name}`],
    ),
    'Random.fromSeed',
    'Random.fromState',
  ];
  expect(Object.keys(ROWS).sort()).toEqual(wanted.sort());
});

describe('wrong arguments', () => {
  beforeAll(() => {
    jest.spyOn(console, 'warn').mockImplementation(() => undefined);
  });
  afterEach(() => {
    expect(memory().scopes).toBe(0);
  });

  test.each(Object.entries(ROWS))('%s', async (name, row) => {
    const right = row.places.map(([value]) => value);
    const faults: string[] = [];
    const right0 = await fault(name, row, right, true);
    if (right0 !== null && !/^(defineOp|registerKernel|loadSafetensors)$/.test(name))
      faults.push(`the right call ${right0}`);
    for (const [at, place] of row.places.entries()) {
      const taken = takes(place);
      for (const [junk, value] of Object.entries(JUNK)) {
        const given = right.map((kept, i) => (i === at ? value : kept));
        const found = await fault(name, row, given, taken.has(junk));
        if (found !== null) faults.push(`${junk} in place ${at} ${found}`);
      }
    }
    expect(faults).toEqual([]);
  });
});
