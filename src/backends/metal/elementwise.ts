/** Elementwise kernels in Metal Shading Language, generated at run time from the code that the op declares. */
import type { DType, Kernel } from '../backend.js';
import { type Language, parseExpression, toSource } from '../expression.js';
import { MSL_TYPE } from './types.js';

/** What the functions of the notation are called in metal/math.metal and in Metal. */
const FLOAT_FUNCTIONS: Readonly<Record<string, string>> = {
  exp: 'exp',
  expm1: 'expMinusOne',
  log: 'log',
  log1p: 'logOnePlus',
  sqrt: 'sqrt',
  abs: 'fabs',
  sin: 'sin',
  cos: 'cos',
  tanh: 'tanh',
  erf: 'errorFunction',
  erfc: 'complementaryErrorFunction',
  floor: 'floor',
  pow: 'power',
  min: 'smaller',
  max: 'larger',
  isnan: 'isNaN',
  isfinite: 'isFinite',
};

/** Those that mean something for whole numbers: text from the arguments' texts. */
const INT_FUNCTIONS: Readonly<Record<string, (...args: readonly string[]) => string>> = {
  abs: (x) => `abs(${x})`,
  floor: (x) => x,
  pow: (x, y) => `power(${x}, ${y})`,
  min: (x, y) => `smaller(${x}, ${y})`,
  max: (x, y) => `larger(${x}, ${y})`,
  isnan: (x) => `isNaN(${x})`,
  isfinite: (x) => `isFinite(${x})`,
};

class NotWhole extends Error {}

const language = (whole: boolean): Language<string> => ({
  number: (value) => {
    if (!whole) return Number.isInteger(value) ? `${value.toFixed(1)}f` : `${value}f`;
    if (!Number.isInteger(value)) throw new NotWhole();
    return String(value);
  },
  operand: (name) => name,
  negate: (a) => `(-${a})`,
  not: (a) => `(!${a})`,
  binary: (operator, a, b) => {
    // A quotient of integers is no integer: ops that divide compute in float32.
    if (whole && operator === '/') throw new NotWhole();
    return `(${a} ${operator} ${b})`;
  },
  choice: (test, then, otherwise) => `(${test} ? ${then} : ${otherwise})`,
  call: (name, operands) => {
    if (!whole) return `${FLOAT_FUNCTIONS[name]!}(${operands.join(', ')})`;
    const call = INT_FUNCTIONS[name];
    if (!call) throw new NotWhole();
    return call(...operands);
  },
});

const OPERANDS = ['x', 'y', 'z'] as const;

/** The element types of one launch: the inputs', then the output's. */
export type ElementTypes = readonly DType[];

/** The entry point's name: one op has a kernel for each combination of element types. */
export const elementwiseEntry = (kernel: Kernel, types: ElementTypes): string => [kernel.name, ...types].join('_');

const COMPUTED: ReadonlySet<DType> = new Set(['float32', 'int32', 'bool']);

/**
 * The kernel's text, to follow metal/math.metal and ELEMENTWISE_PARAMS; null where the op is not meant for these element types.
 * Numbers are computed in float32 where an operand is, else in int32; truth values are 0 and 1.
 */
export function elementwiseSource(kernel: Kernel, types: ElementTypes): string | null {
  const { code, arity } = kernel.elementwise!;
  if (!types.every((type) => COMPUTED.has(type))) return null;
  const output = types[arity]!;
  const whole = !types.includes('float32');
  const type = whole ? 'int' : 'float';
  const expression = parseExpression(code, arity);
  let body: ReturnType<typeof toSource>;
  try {
    body = toSource(
      expression,
      language(whole),
      (name, truth, text) => `const ${truth ? 'bool' : type} ${name} = ${text};`,
    );
  } catch (error) {
    if (error instanceof NotWhole) return null;
    throw error;
  }
  const result = output !== 'bool' || expression.truth ? body.result : `${body.result} != 0`;
  const operands = OPERANDS.slice(0, arity);
  const parameters = [
    ...operands.map((name, i) => `device const ${MSL_TYPE[types[i]!]} *${name}_ [[buffer(${i})]]`),
    `device ${MSL_TYPE[output]} *out [[buffer(${arity})]]`,
    `constant ElementwiseParams &p [[buffer(${arity + 1})]]`,
    'uint index [[thread_position_in_grid]]',
    'uint threads [[threads_per_grid]]',
  ];
  return `
kernel void ${elementwiseEntry(kernel, types)}(${parameters.join(', ')}) {
  for (uint i = index; i < p.size; i += threads) {
    const Places at = placesOf(i, p);
    ${operands.map((name) => `const ${type} ${name} = ${type}(${name}_[at.${name}]);`).join(' ')}
    ${[...body.statements, `out[i] = ${result};`].join('\n    ')}
  }
}
`;
}

/** The parameters of every elementwise kernel, and where operands lie that broadcast. */
export const ELEMENTWISE_PARAMS = `
struct ElementwiseParams { uint size, rank; uint shape[8]; int xStrides[8], yStrides[8], zStrides[8]; };
struct Places { int x, y, z; };

inline Places placesOf(uint i, constant ElementwiseParams &p) {
  Places at;
  at.x = at.y = at.z = 0;
  for (uint axis = p.rank; axis-- > 1;) {
    const int position = int(i % p.shape[axis]);
    i /= p.shape[axis];
    at.x += position * p.xStrides[axis];
    at.y += position * p.yStrides[axis];
    at.z += position * p.zStrides[axis];
  }
  at.x += int(i) * p.xStrides[0];
  at.y += int(i) * p.yStrides[0];
  at.z += int(i) * p.zStrides[0];
  return at;
}
`;
