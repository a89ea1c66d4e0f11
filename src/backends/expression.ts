/**
 * The notation in which elementwise ops say what they compute, e.g. `x > 0 ? x : exp(x) - 1`. It is parsed here, once, and every device
 * folds the tree into its own language: WebAssembly SIMD and float64 JavaScript when the package is built, Metal and WGSL at run time.
 *
 * Grammar: numbers, the operands x y z, + - * /, unary -, < <= > >= == !=, && || !, `test ? a : b`, and calls of BASE_FUNCTIONS.
 * Numbers and truth values are kept apart: a test is a comparison, never a bare number.
 */

/** Functions that every device provides: how many arguments, and whether they answer with a truth value. */
export const BASE_FUNCTIONS: Readonly<Record<string, { readonly arity: 1 | 2; readonly truth?: true }>> = {
  exp: { arity: 1 },
  expm1: { arity: 1 },
  log: { arity: 1 },
  log1p: { arity: 1 },
  sqrt: { arity: 1 },
  abs: { arity: 1 },
  sin: { arity: 1 },
  cos: { arity: 1 },
  atan: { arity: 1 },
  tanh: { arity: 1 },
  erf: { arity: 1 },
  erfc: { arity: 1 },
  /** P(X <= x) for a standard normal X. */
  normalCdf: { arity: 1 },
  floor: { arity: 1 },
  /** What is left of x after whole multiples of y, exact and with the sign of x, as C's fmod; of whole numbers by 0 it is 0. */
  rem: { arity: 2 },
  /** IEEE 754 pow: pow(x, 0) = pow(1, y) = 1 for any x and y, NaN included. */
  pow: { arity: 2 },
  /** The smaller; NaN when either is. */
  min: { arity: 2 },
  /** The larger; NaN when either is. */
  max: { arity: 2 },
  isnan: { arity: 1, truth: true },
  isfinite: { arity: 1, truth: true },
};

type OperandName = 'x' | 'y' | 'z';
type BinaryOperator = '+' | '-' | '*' | '/' | '<' | '<=' | '>' | '>=' | '==' | '!=' | '&&' | '||';

/** A parsed expression. Equal subexpressions are one and the same object. */
type Expression = { readonly truth: boolean } & (
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'operand'; readonly name: OperandName }
  | { readonly kind: 'negate' | 'not'; readonly children: readonly [Expression] }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly children: readonly [Expression, Expression] }
  | { readonly kind: 'choice'; readonly children: readonly [Expression, Expression, Expression] }
  | { readonly kind: 'call'; readonly name: string; readonly children: readonly Expression[] }
);

/** Binding strength, weakest first; operators of one line associate to the left. */
const PRECEDENCE: readonly (readonly BinaryOperator[])[] = [
  ['||'],
  ['&&'],
  ['==', '!='],
  ['<', '<=', '>', '>='],
  ['+', '-'],
  ['*', '/'],
];

const LOGICAL: ReadonlySet<string> = new Set(['&&', '||']);
const ARITHMETIC: ReadonlySet<string> = new Set(['+', '-', '*', '/']);
const TOKEN = /\s*(?:(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(<=|>=|==|!=|&&|\|\||[-+*/<>!?:(),]))/y;

class Parser {
  private readonly tokens: string[] = [];
  private readonly interned = new Map<string, Expression>();
  private readonly names = new Map<Expression, number>();
  private position = 0;

  constructor(
    private readonly code: string,
    private readonly arity: number,
  ) {
    const end = code.trimEnd().length;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < end) {
      const start = TOKEN.lastIndex;
      const match = TOKEN.exec(code);
      if (!match) throw new SyntaxError(`[expression] cannot read '${code.slice(start).trim()}' in '${code}'`);
      this.tokens.push(match[1] ?? match[2] ?? match[3] ?? '');
    }
  }

  parse(): Expression {
    const result = this.choice();
    if (this.position < this.tokens.length) this.fail(`unexpected '${this.tokens[this.position]}'`);
    return result;
  }

  private fail(what: string): never {
    throw new SyntaxError(`[expression] ${what} in '${this.code}'`);
  }

  private accept(token: string): boolean {
    if (this.tokens[this.position] !== token) return false;
    this.position++;
    return true;
  }

  private expect(token: string): void {
    if (!this.accept(token)) this.fail(`expected '${token}', got '${this.tokens[this.position] ?? 'the end'}'`);
  }

  /** One object per distinct expression, so that shared work can be found by identity. */
  private intern<E extends Expression>(node: E): E {
    const children = 'children' in node ? node.children : [];
    const key = JSON.stringify({ ...node, children: children.map((child) => this.names.get(child)) });
    const known = this.interned.get(key);
    if (known) return known as E;
    this.interned.set(key, node);
    this.names.set(node, this.names.size);
    return node;
  }

  private number(node: Expression, where: string): Expression {
    if (node.truth) this.fail(`${where} takes numbers, got a truth value`);
    return node;
  }

  private truth(node: Expression, where: string): Expression {
    if (!node.truth) this.fail(`${where} takes truth values, got a number (compare it with something)`);
    return node;
  }

  private choice(): Expression {
    const test = this.binary(0);
    if (!this.accept('?')) return test;
    this.truth(test, "'?'");
    const then = this.choice();
    this.expect(':');
    const otherwise = this.choice();
    if (then.truth !== otherwise.truth) this.fail("both sides of ':' must be numbers, or both truth values");
    return this.intern({ kind: 'choice', truth: then.truth, children: [test, then, otherwise] });
  }

  private binary(level: number): Expression {
    const operators = PRECEDENCE[level];
    if (!operators) return this.unary();
    let left = this.binary(level + 1);
    for (;;) {
      const operator = operators.find((candidate) => this.accept(candidate));
      if (!operator) return left;
      const right = this.binary(level + 1);
      const check = LOGICAL.has(operator) ? this.truth.bind(this) : this.number.bind(this);
      const children = [check(left, `'${operator}'`), check(right, `'${operator}'`)] as const;
      left = this.intern({ kind: 'binary', truth: !ARITHMETIC.has(operator), operator, children });
    }
  }

  private unary(): Expression {
    if (this.accept('-'))
      return this.intern({ kind: 'negate', truth: false, children: [this.number(this.unary(), "'-'")] });
    if (this.accept('!')) return this.intern({ kind: 'not', truth: true, children: [this.truth(this.unary(), "'!'")] });
    return this.primary();
  }

  private primary(): Expression {
    if (this.accept('(')) {
      const inner = this.choice();
      this.expect(')');
      return inner;
    }
    const token = this.tokens[this.position++] ?? this.fail('unexpected end');
    if (/^\d/.test(token)) return this.intern({ kind: 'number', truth: false, value: Number(token) });
    if (this.accept('(')) return this.call(token);
    const index = token.length === 1 ? 'xyz'.indexOf(token) : -1;
    if (index < 0) this.fail(`unknown name '${token}'`);
    if (index >= this.arity) this.fail(`operand '${token}' is not among the ${this.arity} operand(s)`);
    return this.intern({ kind: 'operand', truth: false, name: token as OperandName });
  }

  private call(name: string): Expression {
    const base = Object.hasOwn(BASE_FUNCTIONS, name) ? BASE_FUNCTIONS[name] : undefined;
    if (!base) this.fail(`unknown function '${name}' (known: ${Object.keys(BASE_FUNCTIONS).join(' ')})`);
    const children = [this.number(this.choice(), name)];
    while (this.accept(',')) children.push(this.number(this.choice(), name));
    this.expect(')');
    if (children.length !== base.arity) this.fail(`${name} takes ${base.arity} argument(s), got ${children.length}`);
    return this.intern({ kind: 'call', truth: base.truth ?? false, name, children });
  }
}

/**
 * Parses an expression of `arity` operands.
 * @throws SyntaxError naming the spot when the code is not of the notation.
 */
export const parseExpression = (code: string, arity: number): Expression => new Parser(code, arity).parse();

/** What each construct means in one target language; T is whatever that language is made of (text, functions ...). */
export interface Language<T> {
  number(value: number): T;
  operand(name: OperandName): T;
  negate(argument: T): T;
  not(argument: T): T;
  binary(operator: BinaryOperator, left: T, right: T): T;
  choice(test: T, then: T, otherwise: T, truth: boolean): T;
  call(name: string, operands: readonly T[]): T;
}

/** Folds an expression bottom-up; each distinct subexpression is visited once. `named` may replace a finished part, e.g. by a variable. */
export function fold<T>(
  expression: Expression,
  language: Language<T>,
  named: (node: Expression, part: T) => T = (_node, part) => part,
): T {
  const done = new Map<Expression, T>();
  const visit = (node: Expression): T => {
    const known = done.get(node);
    if (known !== undefined) return known;
    const part = named(node, build(node));
    done.set(node, part);
    return part;
  };
  const build = (node: Expression): T => {
    switch (node.kind) {
      case 'number':
        return language.number(node.value);
      case 'operand':
        return language.operand(node.name);
      case 'negate':
        return language.negate(visit(node.children[0]));
      case 'not':
        return language.not(visit(node.children[0]));
      case 'binary':
        return language.binary(node.operator, visit(node.children[0]), visit(node.children[1]));
      case 'choice':
        return language.choice(visit(node.children[0]), visit(node.children[1]), visit(node.children[2]), node.truth);
      case 'call':
        return language.call(node.name, node.children.map(visit));
    }
  };
  return visit(expression);
}

/** How often each subexpression is used. */
function uses(expression: Expression): Map<Expression, number> {
  const counts = new Map<Expression, number>();
  const visit = (node: Expression): void => {
    const count = counts.get(node) ?? 0;
    counts.set(node, count + 1);
    if (count === 0 && 'children' in node) node.children.forEach(visit);
  };
  visit(expression);
  return counts;
}

/**
 * Source text for an expression: what is used more than once becomes a variable of its own.
 * @param declare the statement that declares a variable, e.g. `(name, truth, text) => \`float ${name} = ${text};\``
 * @returns the declarations, in order, and the text of the result
 */
export function toSource(
  expression: Expression,
  language: Language<string>,
  declare: (name: string, truth: boolean, text: string) => string,
): { readonly statements: readonly string[]; readonly result: string } {
  const counts = uses(expression);
  const statements: string[] = [];
  const result = fold(expression, language, (node, text) => {
    if (!('children' in node) || (counts.get(node) ?? 0) < 2) return text;
    const name = `t${statements.length}`;
    statements.push(declare(name, node.truth, text));
    return name;
  });
  return { statements, result };
}
