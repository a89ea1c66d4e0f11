// The element types that elementwise kernels are generated for: how a formula's constructs are written on their SIMD lanes, and how vectors of
// them are read and stored (wasm/lanes.ts, wasm/vectors.ts).

const TRUTH_OPERATORS = { '&&': 'v128.and', '||': 'v128.or' };
const COMPARISONS = { '<': 'lt', '<=': 'le', '>': 'gt', '>=': 'ge', '==': 'eq', '!=': 'ne' };
const ARITHMETIC = { '+': 'add', '-': 'sub', '*': 'mul', '/': 'div' };

/** Operators of a lane type, e.g. `f32x4.add`; `signed` is what comparisons of order end in. */
const operators = (lanes, arithmetic, signed = '') => ({
  ...TRUTH_OPERATORS,
  ...Object.fromEntries(
    Object.entries(COMPARISONS).map(([sign, name]) => [
      sign,
      `${lanes}.${name}${name === 'eq' || name === 'ne' ? '' : signed}`,
    ]),
  ),
  ...Object.fromEntries(arithmetic.split('').map((sign) => [sign, `${lanes}.${ARITHMETIC[sign]}`])),
});

const calls = (lanes, names) => Object.fromEntries(names.map((name) => [name, `${lanes}.${name}`]));

/** A language of src/backends/expression.ts over lanes; a construct that the element type lacks throws. */
const language = ({ lanes, splat, operators: signs, cheap, functions, suffix, ending = suffix }) => ({
  number: (value) => splat(value),
  operand: (name) => name,
  negate: (a) => `${lanes}.neg(${a})`,
  not: (a) => `v128.not(${a})`,
  binary: (operator, a, b) => `${signs[operator] ?? lacks(suffix, operator)}(${a}, ${b})`,
  choice: (test, then, otherwise) => `v128.bitselect(${then}, ${otherwise}, ${test})`,
  call: (name, operands) =>
    `${cheap[name] ?? (functions.includes(name) ? name + ending : lacks(suffix, name))}(${operands.join(', ')})`,
});

function lacks(suffix, what) {
  throw new Error(`elements ${suffix || 'F32'} have no ${what}`);
}

const float = (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value));

/** How elements of 4 bytes are read and stored: where one stays, where vectors move along, and the first few at the end. */
const words = {
  splat: (at) => `v128.load32_splat(${at})`,
  part: (at, count) => `loadWords(${at}, ${count})`,
  storePart: (at, value, count) => `storeWords(${at}, ${value}, ${count})`,
};

/**
 * `cheap` are functions of one or two instructions; a formula with no others has loops of whole vectors. `patterns` counts these (of PATTERNS in
 * elementwise.mjs) by the number of operands, for one formula, or for long ones. `shortRows` says that rows of a few elements, which these loops do
 * nothing for, have one as well. `libraries` are modules of wasm/ with further functions. `often` names expensive formulas that are worth a second loop,
 * of whole vectors. `own` names those that a library has written out, with less work than the formula shows. `seldom` names formulas that call their
 * functions, where others have them written out in their loops: several times the bytes, and a few nanoseconds a vector less. `only`, where given, names
 * the formulas that are worth having in this type; those whose code it lacks are left out in any case.
 */
export const ELEMENTS = [
  {
    suffix: '',
    patterns: { 2: 3, 3: 2, where: 4, long: 2 },
    shortRows: true,
    lanes: 4,
    bytes: 4,
    ...words,
    truth: {
      splat: 'splatTruth',
      vector: 'loadTruth',
      part: 'loadTruthPart',
      four: 'storeTruth16',
      store: 'storeTruthPart',
    },
    cheap: {
      ...calls('f32x4', ['sqrt', 'abs', 'floor', 'min', 'max']),
      isnan: 'isnan',
      isfinite: 'isfinite',
    },
    libraries: {
      '../math': 'exp expm1 log log1p sin cos atan tanh rem pow isnan isfinite'.split(' '),
      '../error-function': ['erf', 'erfc'],
      '../activations': ['sigmoid', 'gelu', 'geluVjp'],
    },
    own: ['sigmoid', 'gelu', 'geluVjp'],
    often: ['exp', 'log', 'sigmoid', 'gelu', 'geluVjp'],
    seldom: 'tan asin acos cosh mod floorQuotient expOfDifference elu'.split(' '),
    splatNumber: (value) => `f32x4.splat(${float(value)})`,
    lane: 'f32x4',
    operators: operators('f32x4', '+-*/'),
  },
  {
    suffix: 'F64',
    patterns: { 2: 2, 3: 1, sub: 3, div: 3, less: 3, lessEqual: 3, long: 1 },
    lanes: 2,
    bytes: 8,
    splat: (at) => `v128.load64_splat(${at})`,
    part: (at) => `v128.load64_zero(${at})`,
    storePart: (at, value) => `v128.store64_lane(${at}, ${value}, 0)`,
    truth: {
      splat: 'splatTruthF64',
      vector: 'loadTruthF64',
      part: 'loadTruthPartF64',
      four: 'storeTruth8',
      store: 'storeTruthPartF64',
    },
    cheap: {
      ...calls('f64x2', ['sqrt', 'abs', 'floor', 'min', 'max']),
      isnan: 'isnanF64',
      isfinite: 'isfiniteF64',
    },
    libraries: {
      '../math64': 'exp expm1 log log1p tanh isnan isfinite'.split(' '),
      '../trigonometry64': ['sin', 'cos'],
      '../power64': ['pow'],
    },
    seldom: 'cosh softplus silu elu expOfDifference tan'.split(' '),
    splatNumber: (value) => `f64x2.splat(${float(value)})`,
    lane: 'f64x2',
    operators: operators('f64x2', '+-*/'),
  },
  {
    suffix: 'I32',
    patterns: { 2: 2, 3: 1, sub: 3, div: 3, less: 3, lessEqual: 3, long: 1 },
    lanes: 4,
    bytes: 4,
    ...words,
    truth: {
      splat: 'splatTruthI32',
      vector: 'loadTruthI32',
      part: 'loadTruthPartI32',
      four: 'storeTruth16',
      store: 'storeTruthPart',
    },
    cheap: { abs: 'i32x4.abs', min: 'i32x4.min_s', max: 'i32x4.max_s' },
    splatNumber: (value) => (Number.isInteger(value) ? `i32x4.splat(${value})` : lacks('I32', value)),
    lane: 'i32x4',
    operators: operators('i32x4', '+-*', '_s'),
    only: `add sub mul maximum minimum neg abs sign square relu equal notEqual less lessEqual greater greaterEqual where clip`.split(
      ' ',
    ),
  },
  {
    suffix: 'U8',
    patterns: { 2: 1, 3: 1, long: 1 },
    lanes: 16,
    bytes: 1,
    splat: (at) => `v128.load8_splat(${at})`,
    part: (at, count) => `loadBytes(${at}, ${count})`,
    storePart: (at, value, count) => `storeBytes(${at}, ${value}, ${count})`,
    truth: {
      splat: 'v128.load8_splat',
      vector: 'v128.load',
      part: 'loadBytes',
      four: 'storeTruth64',
      store: 'storeTruthBytes',
    },
    cheap: {},
    splatNumber: (value) => `i8x16.splat(${value})`,
    lane: 'i8x16',
    operators: operators('i8x16', ''),
    only: 'equal notEqual logicalAnd logicalOr logicalNot where'.split(' '),
  },
].map((given) => {
  const element = {
    libraries: {},
    often: [],
    own: [],
    seldom: [],
    ...given,
    functions: Object.values(given.libraries ?? {}).flat(),
  };
  const parts = { ...element, lanes: element.lane, splat: element.splatNumber };
  return { ...element, language: language(parts), calling: language({ ...parts, ending: `${element.suffix}Called` }) };
});
