/** What callers without types hand over, and what each kind of place takes of it. */
import { random, scope, tensor, zeros } from 'tapegrad';
import { FakeGpu } from './gpu/fake.js';

export const floats = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
export const ints = tensor(1, { dtype: 'int32' });
const empty = zeros([0]);

/** Escaped from its scope. */
let dead = empty;
scope(() => {
  dead = floats.add(1);
});
/** A list that holds itself, and one that goes very deep. */
const round: unknown[] = [];
round.push(round);
const roundObject: Record<string, unknown> = {};
roundObject.self = roundObject;
const deep = Array.from({ length: 10_000 }).reduce<unknown>((inner) => [inner], 1);

/** What callers without types hand over. */
export const JUNK: Readonly<Record<string, unknown>> = {
  undefined: undefined,
  null: null,
  NaN: NaN,
  negative: -1,
  fraction: 0.5,
  huge: 1e12,
  infinity: Infinity,
  yes: true,
  no: false,
  text: 'x',
  'no text': '',
  number: '2',
  symbol: Symbol('s'),
  bigint: 3n,
  function: () => 1,
  object: {},
  bare: Object.create(null) as object,
  foreign: { dim: 0, keepdim: true, lr: 1, weight_decay: 1, bias_init: 0 },
  list: [],
  holes: [undefined, null],
  nested: [[1], [2]],
  texts: ['a'],
  fractions: [0.5, NaN],
  negatives: [-1, -2],
  ints,
  floats,
  empty,
  map: new Map([['axis', 0]]),
  date: new Date(0),
  regexp: /x/,
  promise: Promise.resolve(1),
  bytes: new DataView(new ArrayBuffer(8)),
  array: new Float32Array(2),
  random: random(1),
  dead,
  elsewhere: tensor([[1, 2, 3]], { device: new FakeGpu() }),
  'rank 5': zeros([1, 1, 2, 1, 1]),
  truths: tensor([[true, false, true]]),
  'not a number': tensor([[NaN, Infinity, -1]]),
  round,
  'round object': roundObject,
  deep,
  'a hole': new Array(1),
  'one and a hole': Object.assign(new Array<unknown>(2), { 0: 0 }),
  'a hole and one': Object.assign(new Array<unknown>(2), { 1: 1 }),
  'long list': new Array(100_000).fill(0.5),
  'long text': 'y'.repeat(100_000),
  bigints: [1n, 2n],
  'big array': new BigInt64Array([1n, -2n]),
  ragged: [[1, 2], [3]],
  boxed: new Number(1),
  'like an array': { length: 1, 0: 1 },
  class: class Klass {},
  set: new Set([1]),
  error: new Error('e'),
};

/** What a place takes beside the value of its row. Whatever is not named here must be refused. */
const everything = Object.keys(JUNK);
export const TENSORS = ['ints', 'floats', 'empty', 'elsewhere', 'rank 5', 'truths', 'not a number'];
const DATA = [
  'NaN',
  'negative',
  'fraction',
  'huge',
  'infinity',
  'yes',
  'no',
  'list',
  'nested',
  'fractions',
  'negatives',
  'array',
  'long list',
  'big array',
  ...TENSORS,
];
const KINDS = {
  any: everything,
  tensor: TENSORS,
  data: DATA,
  indices: ['negative', 'yes', 'no', 'list', 'negatives', 'array', 'big array', ...TENSORS, 'nested'],
  axis: ['negative', 'undefined'],
  axes: ['negative', 'undefined', 'list', 'negatives'],
  options: ['undefined', 'object', 'bare'],
  shape: ['list'],
  order: [],
  number: ['negative', 'fraction', 'huge'],
  value: ['NaN', 'negative', 'fraction', 'huge', 'infinity'],
  positive: ['fraction', 'huge', 'infinity'],
  limit: ['undefined', 'infinity', 'huge'],
  size: [],
  count: ['huge'],
  function: ['function'],
  dtype: [],
  device: [],
  random: ['random'],
  tree: everything,
  tensors: [],
  optional: ['undefined'],
  range: ['undefined', 'null', 'negative', 'list', 'negatives', 'holes', 'a hole', 'one and a hole', 'a hole and one'],
} satisfies Record<string, readonly string[]>;
export type Kind = keyof typeof KINDS;

/** A place of a call: the right value and the kind of others; and names of JUNK that this place takes as well. */
export type Place = readonly [value: unknown, kind: Kind, ...more: string[]];

export const takes = ([, kind, ...more]: Place): ReadonlySet<string> => new Set([...KINDS[kind], ...more]);
