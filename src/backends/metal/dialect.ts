/** Metal Shading Language. */
import { BYTES, type DType } from '../backend.js';
import type { Dialect } from '../gpu/dialect.js';
import { sources } from './generated/sources.js';

/** bfloat16 travels as its bits: only newer GPU families have a type for it. GPUs have no double. */
const TYPES: Readonly<Partial<Record<DType, string>>> = {
  float32: 'float',
  int32: 'int',
  bool: 'bool',
  float16: 'half',
  bfloat16: 'ushort',
};

const KINDS = { truth: 'bool', whole: 'int', float: 'float' } as const;

export const metal: Dialect = {
  types: TYPES,
  bytes: BYTES,
  sources,
  include: /^#include "([\w/-]+)\.metal"$/gm,
  entry: (name) => `kernel void ${name}(`,
  prelude: (family, input, output) =>
    `#define IN ${TYPES[input ?? 'float32']!}\n#define OUT ${TYPES[output ?? 'float32']!}\n#line 1 "metal/${family}.metal"\n`,
  number: (value, whole) => (whole ? String(value) : Number.isInteger(value) ? `${value.toFixed(1)}f` : `${value}f`),
  choice: (test, then, otherwise) => `(${test} ? ${then} : ${otherwise})`,
  statement: (name, kind, text) => `const ${KINDS[kind]} ${name} = ${text};`,
  functions: {
    // Those that are not Metal's own are in metal/math.metal.
    float: {
      exp: 'exp',
      expm1: 'expMinusOne',
      log: 'log',
      log1p: 'logOnePlus',
      sqrt: 'sqrt',
      abs: 'fabs',
      sin: 'sin',
      cos: 'cos',
      atan: 'arcTangent',
      tanh: 'tanh',
      erf: 'errorFunction',
      erfc: 'complementaryErrorFunction',
      normalCdf: 'normalDistribution',
      floor: 'floor',
      pow: 'power',
      rem: 'remainderOf',
      min: 'smaller',
      max: 'larger',
      isnan: 'isNaN',
      isfinite: 'isFinite',
    },
    whole: {
      abs: 'abs',
      floor: (x) => x,
      pow: 'power',
      rem: 'remainderOf',
      min: 'smaller',
      max: 'larger',
      isnan: 'isNaN',
      isfinite: 'isFinite',
    },
  },
  elementwise: ({ entry, operands, output, whole, statements, result }) => {
    const type = whole ? 'int' : 'float';
    const parameters = [
      ...operands.map(({ name, dtype }, i) => `device const ${TYPES[dtype]!} *${name}_ [[buffer(${i})]]`),
      `device ${TYPES[output]!} *out [[buffer(${operands.length})]]`,
      `constant ElementwiseParams &p [[buffer(${operands.length + 1})]]`,
      'uint index [[thread_position_in_grid]]',
      'uint threads [[threads_per_grid]]',
    ];
    return `
kernel void ${entry}(${parameters.join(', ')}) {
  for (uint i = index; i < p.size; i += threads) {
    const Places at = placesOf(i, p);
    ${operands.map(({ name }) => `const ${type} ${name} = ${type}(${name}_[at.${name}]);`).join(' ')}
    ${[...statements, `out[i] = ${result};`].join('\n    ')}
  }
}
`;
  },
};
