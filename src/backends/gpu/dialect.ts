/** A GPU's language, as far as its kernels' texts are put together here. */
import type { DType } from '../backend.js';

/** An elementwise kernel before it is text: what comes out of the op's expression. */
export interface ElementwiseParts {
  readonly entry: string;
  /** The operands' names in the expression, and their element types in memory. */
  readonly operands: readonly { readonly name: string; readonly dtype: DType }[];
  readonly output: DType;
  /** Whether numbers are computed in int32, else in float32. */
  readonly whole: boolean;
  readonly statements: readonly string[];
  readonly result: string;
}

/** A call of a function of the notation: the function's name, or text made of the arguments' texts. */
type Call = string | ((...args: readonly string[]) => string);

export interface Dialect {
  /** What element types are called; a device has none of those without a name. */
  readonly types: Readonly<Partial<Record<DType, string>>>;
  /** Bytes of an element in the device's memory. */
  readonly bytes: Readonly<Record<DType, number>>;
  /** The kernels' files by family. */
  readonly sources: Readonly<Record<string, string>>;
  /** A line that includes another file; its first group is that file's family. */
  readonly include: RegExp;
  /** How the text of an entry point begins. */
  entry(name: string): string;
  /** What a kernel needs of its file, for languages in which a kernel has a module to itself; the whole of it where this is left out. */
  select?(text: string, entry: string): string;
  /** What precedes a file: the element types of a kernel's first input and first output. */
  prelude(family: string, input: DType | undefined, output: DType | undefined): string;

  // Expressions: number, truth and call are spelled as in C where nothing is said here.
  number(value: number, whole: boolean): string;
  binary?(operator: string, a: string, b: string, whole: boolean): string;
  choice(test: string, then: string, otherwise: string): string;
  /** The functions of src/backends/expression.ts; those missing from `whole` have no meaning for integers. */
  readonly functions: {
    readonly float: Readonly<Record<string, Call>>;
    readonly whole: Readonly<Record<string, Call>>;
  };
  /** A named part of an expression. */
  statement(name: string, kind: 'truth' | 'whole' | 'float', text: string): string;
  /** The kernel's text, to follow the file `elementwise`. */
  elementwise(parts: ElementwiseParts): string;
}
