/** Elementwise kernels, generated at run time in the device's language from the code that the op declares. */
import type { DType } from '../backend.js';
import { type Language, parseExpression, toSource } from '../expression.js';
import type { Kernel } from '../kernel.js';
import type { Dialect, ElementwiseParts } from './dialect.js';

class NotWhole extends Error {}

const language = (dialect: Dialect, whole: boolean): Language<string> => ({
  number: (value) => {
    if (whole && !Number.isInteger(value)) throw new NotWhole();
    return dialect.number(value, whole);
  },
  operand: (name) => name,
  negate: (a) => `(-${a})`,
  not: (a) => `(!${a})`,
  binary: (operator, a, b) => {
    // A quotient of integers is no integer: ops that divide compute in float32.
    if (whole && operator === '/') throw new NotWhole();
    return dialect.binary?.(operator, a, b, whole) ?? `(${a} ${operator} ${b})`;
  },
  choice: (test, then, otherwise) => dialect.choice(test, then, otherwise),
  call: (name, operands) => {
    const call = dialect.functions[whole ? 'whole' : 'float'][name];
    if (!call) throw new NotWhole();
    return typeof call === 'string' ? `${call}(${operands.join(', ')})` : call(...operands);
  },
});

const OPERANDS = ['x', 'y', 'z'] as const;
const COMPUTED: ReadonlySet<DType> = new Set(['float32', 'int32', 'bool']);

/** The element types of one launch: the inputs', then the output's. */
type ElementTypes = readonly DType[];

/** The entry point's name: one op has a kernel for each combination of element types. */
export const elementwiseEntry = (kernel: Kernel, types: ElementTypes): string => [kernel.name, ...types].join('_');

/**
 * The kernel as parts; null where the op is not meant for these element types. Numbers are computed in float32 where an operand is, else in
 * int32; truth values are 0 and 1.
 */
function partsOf(dialect: Dialect, kernel: Kernel, types: ElementTypes): ElementwiseParts | null {
  const { code, arity } = kernel.elementwise!;
  if (!types.every((type) => COMPUTED.has(type))) return null;
  const output = types[arity]!;
  const whole = !types.includes('float32');
  const expression = parseExpression(code, arity);
  try {
    const { statements, result } = toSource(expression, language(dialect, whole), (name, truth, text) =>
      dialect.statement(name, truth ? 'truth' : whole ? 'whole' : 'float', text),
    );
    return {
      entry: elementwiseEntry(kernel, types),
      operands: OPERANDS.slice(0, arity).map((name, i) => ({ name, dtype: types[i]! })),
      output,
      whole,
      statements,
      result: output !== 'bool' || expression.truth ? result : `${result} != 0`,
    };
  } catch (error) {
    if (error instanceof NotWhole) return null;
    throw error;
  }
}

/** The kernel's text; null where the op is not meant for these element types. */
export function elementwiseSource(dialect: Dialect, kernel: Kernel, types: ElementTypes): string | null {
  const parts = partsOf(dialect, kernel, types);
  return parts && dialect.elementwise(parts);
}
