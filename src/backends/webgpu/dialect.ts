/** The WebGPU Shading Language. */
import type { DType } from '../backend.js';
import type { Dialect } from '../gpu/dialect.js';
import { GROUP_WIDTH } from '../gpu/limits.js';
import { sources } from './generated/sources.js';
import { BYTES_ON_DEVICE } from './storage.js';

/** Truth values are words of 0 and 1, float16 and bfloat16 words that hold their bits: see storage.ts. */
const TYPES: Readonly<Partial<Record<DType, string>>> = {
  float32: 'f32',
  int32: 'i32',
  bool: 'u32',
  float16: 'u32',
  bfloat16: 'u32',
};

/** A stored element `v` as a float, and a float `v` as it is stored: with functions of wgsl/stored.wgsl. */
const VALUES: Readonly<Partial<Record<DType, string>>> = {
  float32: 'v',
  int32: 'f32(v)',
  bool: 'f32(v)',
  float16: 'fromHalf(v)',
  bfloat16: 'bitcast<f32>(v << 16u)',
};
const STORED: Readonly<Partial<Record<DType, string>>> = {
  float32: 'v',
  int32: 'toWhole(v)',
  bool: 'u32(magnitudeOf(v) != 0u)',
  float16: 'toHalf(v)',
  bfloat16: 'toBfloat(v)',
};

const KINDS = { truth: 'bool', whole: 'i32', float: 'f32' } as const;

/** Comparisons that hold for NaN as well: WGSL lets compilers assume that there is none. See wgsl/math.wgsl. */
const COMPARISONS: Readonly<Record<string, (a: string, b: string) => string>> = {
  '<': (a, b) => `isLess(${a}, ${b})`,
  '>': (a, b) => `isLess(${b}, ${a})`,
  '<=': (a, b) => `isAtMost(${a}, ${b})`,
  '>=': (a, b) => `isAtMost(${b}, ${a})`,
  '==': (a, b) => `isEqual(${a}, ${b})`,
  '!=': (a, b) => `!isEqual(${a}, ${b})`,
};

/**
 * Arithmetic that WGSL leaves too free: it lets compilers multiply in any order, so that products overflow on their way, and divisors be too large to
 * divide by.
 */
function arithmetic(operator: string, a: string, b: string): string | undefined {
  const apart = (factor: string): string => (factor.includes(' * ') ? `opaque(${factor})` : factor);
  if (operator === '/') return `quotient(${a}, ${b})`;
  return operator === '*' ? `(${apart(a)} * ${apart(b)})` : undefined;
}

/** Threads of a group: set when a pipeline is made. */
const WIDTH = `override WIDTH: u32 = ${GROUP_WIDTH}u;`;

/** What wgsl/copy.wgsl needs to know of the two element types. */
const conversions = (input: DType, output: DType): string => `
fn valueOf(v: IN) -> f32 { return ${VALUES[input]!}; }
fn valueHeld(v: OUT) -> f32 { return ${VALUES[output]!}; }
fn stored(v: f32) -> OUT { return ${STORED[output]!}; }
`;

export const wgsl: Dialect = {
  types: TYPES,
  bytes: BYTES_ON_DEVICE,
  sources,
  include: /^\/\/ include ([\w/-]+)\.wgsl$/gm,
  entry: (name) => `// == ${name} ==`,
  select: (text, entry) => {
    const [head, ...kernels] = text.split(/^(?=\/\/ == )/m);
    return head! + (kernels.find((kernel) => kernel.startsWith(entry)) ?? '');
  },
  prelude: (family, input = 'float32', output = 'float32') => `${WIDTH}
alias IN = ${TYPES[input]!};
alias OUT = ${TYPES[output]!};
${family === 'copy' ? conversions(input, output) : ''}`,
  number: (value, whole) => (whole ? `${value}i` : `${value}f`),
  choice: (test, then, otherwise) => `select(${otherwise}, ${then}, ${test})`,
  statement: (name, kind, text) => `let ${name}: ${KINDS[kind]} = ${text};`,
  binary: (operator, a, b, whole) =>
    (whole ? undefined : (COMPARISONS[operator]?.(a, b) ?? arithmetic(operator, a, b))) ?? `(${a} ${operator} ${b})`,
  functions: {
    // WGSL promises little of its own functions, so most are in wgsl/math.wgsl.
    float: {
      exp: 'exponential',
      expm1: 'expMinusOne',
      log: 'logarithm',
      log1p: 'logOnePlus',
      sqrt: 'squareRoot',
      abs: 'abs',
      sin: 'sine',
      cos: 'cosine',
      atan: 'arcTangent',
      tanh: 'hyperbolicTangent',
      erf: 'errorFunction',
      erfc: 'complementaryErrorFunction',
      normalCdf: 'normalDistribution',
      floor: 'floor',
      pow: 'power',
      rem: 'remainder',
      min: 'smaller',
      max: 'larger',
      isnan: 'isNaN',
      isfinite: 'isFinite',
    },
    whole: {
      abs: 'abs',
      floor: (x) => x,
      pow: 'wholePower',
      rem: 'wholeRemainder',
      min: 'min',
      max: 'max',
      isnan: () => 'false',
      isfinite: () => 'true',
    },
  },
  elementwise: ({ operands, output, whole, statements, result }) => {
    const buffers = [
      ...operands.map(({ name, dtype }) => `var<storage, read> ${name}_: array<${TYPES[dtype]!}>`),
      `var<storage, read_write> out: array<${TYPES[output]!}>`,
      'var<uniform> p: ElementwiseParams',
    ];
    const type = whole ? 'i32' : 'f32';
    return `
${WIDTH}
${buffers.map((buffer, i) => `@group(0) @binding(${i}) ${buffer};`).join('\n')}

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  for (var i = id.x; i < p.size; i += groups.x * WIDTH) {
    let at = placesOf(i);
    ${operands.map(({ name }) => `let ${name} = ${type}(${name}_[at.${name}]);`).join(' ')}
    ${[...statements, `out[i] = ${TYPES[output]!}(${result});`].join('\n    ')}
  }
}
`;
  },
};
