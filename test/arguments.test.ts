import * as tapegrad from 'tapegrad';
import {
  audio,
  BeamStream,
  image,
  UnsupportedOpError,
  memory,
  nn,
  optim,
  OutOfMemoryError,
  Random,
  TapegradError,
  Tensor,
  random,
  zeros,
} from 'tapegrad';
import { JUNK, takes } from './arguments.junk.js';
import { type Row, ROWS } from './arguments.rows.js';

/** Transforms made of others: what these refuse is said in their name. */
const TRANSFORMS = /^(hvp|hessian|jacobian|gradCheck)$/;

/** What a call ends in: null for a refusal as it should be or a legal result, else what is wrong. */
async function fault(name: string, row: Row, given: readonly unknown[], mayReturn: boolean): Promise<string | null> {
  try {
    await row.call(...given);
    return mayReturn ? null : 'returned';
  } catch (error) {
    if (!(error instanceof TapegradError)) return `died with ${String(error)}`;
    if (error instanceof OutOfMemoryError || error instanceof UnsupportedOpError) return null;
    const tags = row.tags ?? [name.split('.').at(-1)!, ...(TRANSFORMS.test(name) ? ['grad', 'vjp'] : [])];
    if (!tags.includes(error.op)) return `is tagged ${error.op}: ${error.message}`;
    if (error.message.length > 400) return `says too much: ${error.message.length} characters`;
    return null;
  }
}

const names = (object: object): string[] => Object.getOwnPropertyNames(object).filter((name) => name !== 'constructor');
/** Members that are no business of callers. */
const INTERNAL = [
  'glance',
  'rawData',
  'rawDataSync',
  'checkAlive',
  'checkSingle',
  'order',
  'fill',
  'settle',
  'best',
  'checkOpen',
  'asking',
  'close',
  'turn',
  'tell',
];

test('every export has a row', () => {
  const isError = (value: unknown): boolean =>
    typeof value === 'function' && (value === TapegradError || value.prototype instanceof TapegradError);
  const wanted = [
    ...Object.entries(tapegrad).flatMap(([name, value]) =>
      ['audio', 'image', 'nn', 'optim', 'Tensor', 'Random'].includes(name) || isError(value) ? [] : [name],
    ),
    ...Object.keys(nn).flatMap((name) => [
      `nn.${name}`,
      ...(name === 'summary' ? [] : [`nn.${name}.init`, `nn.${name}.apply`]),
    ]),
    ...Object.keys(audio).map((name) => `audio.${name}`),
    ...Object.keys(image).map((name) => `image.${name}`),
    ...Object.keys(optim).map((name) => `optim.${name}`),
    ...['sgd', 'adam', 'adamw', 'ema', 'plateau'].flatMap((name) => [`optim.${name}.init`, `optim.${name}.update`]),
    ...['sgd', 'adam', 'adamw'].map((name) => `optim.${name}.learningRate`),
    ...Object.entries(Object.getOwnPropertyDescriptors(Tensor.prototype)).flatMap(([name, { value }]) =>
      typeof value === 'function' && name !== 'constructor' && !INTERNAL.includes(name) ? [`Tensor.${name}`] : [],
    ),
    ...names(Random.prototype).flatMap((name) =>
      name === 'state' || INTERNAL.includes(name) ? [] : [`Random.${name}`],
    ),
    ...names(BeamStream.prototype).flatMap((name) => (INTERNAL.includes(name) ? [] : [`BeamStream.${name}`])),
    'BeamStream.restore',
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
    if (right0 !== null && !/^(defineOp|registerKernel)$/.test(name)) faults.push(`the right call ${right0}`);
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

/** A list with holes in the places of undefined. */
function sparse(list: readonly unknown[]): unknown[] {
  const holes = new Array<unknown>(list.length);
  list.forEach((value, i) => {
    if (value !== undefined) holes[i] = value;
  });
  return holes;
}

describe('wrong calls that used to pass', () => {
  const x = zeros([2, 3]);
  const image = zeros([1, 4, 5, 2]);
  const weight = zeros([3, 3, 3, 2]);
  const model = nn.linear(3, 2);
  const params = model.init(random(1));
  const loose = (fn: unknown): ((...given: unknown[]) => unknown) => fn as (...given: unknown[]) => unknown;
  const rng = random(1);
  const adam = optim.adam({ learningRate: 1 });

  test.each<[() => unknown, string]>([
    [
      () => loose(optim.adamw)({ learningRate: 1, weight_decay: 0 }),
      "[adamw] there is no option 'weight_decay'; there are",
    ],
    [() => loose(nn.conv2d)(4, 8, 3, { group: 4 }), "[conv2d] there is no option 'group'; there are stride, padding"],
    [() => loose(nn.linear)(4, 8, { bias_init: 0 }), "[linear] there is no option 'bias_init'; there is bias"],
    [() => loose(tapegrad.maxPool2d)(image, 3, 2), 'write { stride: 2 }'],
    [() => loose(tapegrad.greedyDecodeSync)(zeros([4, 1, 3]), undefined, 1), 'write { blank: 1 }'],
    [() => loose(tapegrad.mean)(1, { keepDims: false }), '[mean] x is 1, not a tensor'],
    [() => loose(x.mean.bind(x))(0, true), 'write { keepDims: true }'],
    [() => loose(tapegrad.valueAndGrad)(tapegrad.sum, [0, 1]), 'write { argnums: [0, 1] }'],
    [() => loose(model.apply.bind(model))(x, params), '[linear] the parameters come first: apply(params, x)'],
    [() => loose(nn.sequential)([model]), 'stages come one by one: sequential(a, b)'],
    [() => loose(adam.update.bind(adam))(params, params), '[adam] the state is undefined; call update('],
    [() => loose(tapegrad.dropout)(x, 0.5), '[dropout] the source of randomness is undefined; give one: random(seed)'],
    [() => loose(zeros)(2, 3), '[zeros] the shape is 2; it must be an array of numbers: [2, ...]'],
    [() => loose(rng.normal.bind(rng))(2, 3), '[normal] the shape is 2; it must be an array of numbers: [2, ...]'],
    [() => loose(x.squeeze.bind(x))(0, 1), '[squeeze] there are more arguments than it takes; several axes are a list'],
    [() => loose(x.flip.bind(x))(0, 1), '[flip] there are more arguments than it takes; several axes are a list'],
    [
      () => loose(zeros([2, 3, 4]).transpose.bind(zeros([2, 3, 4])))([0, 2, 1]),
      '[transpose] axis is a list; two axes are exchanged, transpose(0, 1); any order of axes is permute([0, 2, 1])',
    ],
    [
      () => loose(zeros([2, 3, 4]).transpose.bind(zeros([2, 3, 4])))(0, 2, 1),
      '[transpose] there are more arguments than it takes; two axes are exchanged; any order of axes is permute',
    ],
    [() => loose(x.slice.bind(x))([0, 1, 1, 1]), '[slice] the range of axis 0 is [0, 1, 1, 1]; it must be'],
    [() => loose(tapegrad.grad)(tapegrad.sum, { argnums: -1 }), '[grad] argnums must be non-negative whole numbers'],
    [() => loose(tapegrad.jacobian)(tapegrad.square, { argnums: null }), '[jacobian] argnums is null'],
    [() => loose(nn.sequential)(class Model {}), '[sequential] stage 0 is a class, neither'],
    [() => tapegrad.maxPool2d(image, 2, { padding: 2 ** 40 }), '[maxPool2d] padding 1099511627776 x 1099511627776'],
    [() => tapegrad.unfold(image, 2, { stride: 2 ** 32 }), '[unfold] stride 4294967296 x 4294967296'],
    [() => loose(tapegrad.tensor)(x), '[tensor] the data is a tensor already; write x.clone()'],
    [() => loose(x.reshape.bind(x))(3, 2), '[reshape] the shape is 3; it must be an array of numbers: [3, ...]'],
    [() => tapegrad.conv2d(image, weight, { padding: 'same', stride: 2 }), "[conv2d] padding 'same' keeps the size"],
    [
      () => tapegrad.maxPool2d(image, 2, { padding: 'same' }),
      "[maxPool2d] padding 'same' keeps the size, which stride 2",
    ],
    [
      () => loose(tapegrad.conv2d)(image, weight, { padding: 'causal' }),
      "[conv2d] padding is 'causal'; it must be a whole number, two of them or 'same'",
    ],
    [
      () => loose(nn.conv1d)(4, 6, 3, { padding: 'valid' }),
      "[conv1d] padding is 'valid'; it must be a whole number, 'same' or 'causal'",
    ],
    [() => nn.conv1d(4, 6, 3, { groups: 4 }), '[conv1d] groups is 4; it must divide 4 inChannels and 6 outChannels'],
  ])('%#', (call, message) => {
    expect(call).toThrow(TapegradError);
    expect(call).toThrow(message);
  });

  test.each<[() => unknown, string]>([
    [() => x.sum(sparse([0, undefined]) as number[]), '[sum] axis undefined'],
    [() => x.permute(sparse([1, undefined]) as number[]), '[permute] axis undefined'],
    [() => x.split(sparse([1, undefined, 1]) as number[]), '[split] cannot cut axis 0 of length 2'],
    [() => x.pad(sparse([[0, 1], undefined]) as [number, number][]), '[pad] widths'],
    [
      () => tapegrad.conv2d(image, weight, { stride: sparse([1, undefined]) as [number, number] }),
      '[conv2d] stride 1 x',
    ],
    [() => tapegrad.concat(sparse([x, undefined]) as Tensor[]), '[concat] part 1 is undefined'],
    [() => tapegrad.padSequences(sparse([x, undefined]) as Tensor[]), '[padSequences] sequence 1 is undefined'],
    [() => tapegrad.gradCheck((a) => a.sum(), sparse([x, undefined]) as Tensor[]), '[gradCheck] input 1 is undefined'],
    [() => tapegrad.errorRate(sparse(['a', undefined]) as string[], ['a', 'b']), '[errorRate] '],
    [
      () => tapegrad.ctcLoss(zeros([4, 2, 3]), sparse([[1], undefined]) as number[][]),
      '[ctcLoss] sequence 1: its targets are undefined',
    ],
    [
      () => tapegrad.grad((a, b) => a.mul(b).sum(), { argnums: sparse([0, undefined]) as number[] }),
      '[grad] argnums is an array',
    ],
  ])('lists with holes: %#', (call, message) => {
    expect(call).toThrow(TapegradError);
    expect(call).toThrow(message);
  });

  test("padding 'same' of the ops is the padding that keeps the size", () => {
    const data = rng.normal([1, 4, 5, 2]);
    const kernel = rng.normal([3, 3, 5, 2]);
    const options = { dilation: [2, 1] } as const;
    const same = tapegrad.conv2d(data, kernel, { ...options, padding: 'same' });
    expect(same.shape).toEqual([1, 4, 5, 3]);
    expect(same.arraySync()).toEqual(tapegrad.conv2d(data, kernel, { ...options, padding: [2, 2] }).arraySync());
    const line = tapegrad.conv1d(data.slice(0), kernel.slice([], 0), { padding: 'same' });
    expect(line.arraySync()).toEqual(tapegrad.conv1d(data.slice(0), kernel.slice([], 0), { padding: 2 }).arraySync());
    expect(tapegrad.maxPool2d(data, 3, { stride: 1, padding: 'same' }).shape).toEqual([1, 4, 5, 2]);
  });
});
