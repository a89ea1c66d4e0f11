import { fold, type Language, parseExpression, toSource } from '../../src/backends/expression.js';

/** Everything in brackets, so that precedence shows. */
const text: Language<string> = {
  number: String,
  operand: (name) => name,
  negate: (a) => `(-${a})`,
  not: (a) => `(!${a})`,
  binary: (operator, a, b) => `(${a} ${operator} ${b})`,
  choice: (test, then, otherwise) => `(${test} ? ${then} : ${otherwise})`,
  call: (name, operands) => `${name}(${operands.join(', ')})`,
};

describe('elementwise expressions', () => {
  test.each([
    ['x + y * z - 2', '((x + (y * z)) - 2)'],
    ['x - y - z', '((x - y) - z)'],
    ['x / y / z', '((x / y) / z)'],
    ['-x * y', '((-x) * y)'],
    ['-(x + 1.5e-3)', '(-(x + 0.0015))'],
    ['x < y + 1 ? 1 : x > z ? 2 : 3', '((x < (y + 1)) ? 1 : ((x > z) ? 2 : 3))'],
    [
      'x < y && y <= z || !(x != z) ? pow(x, y) : max(x, -z)',
      '((((x < y) && (y <= z)) || (!(x != z))) ? pow(x, y) : max(x, (-z)))',
    ],
    ['isnan(x) ? 0 : x', '(isnan(x) ? 0 : x)'],
  ])('%s is read as %s', (code, expected) => {
    expect(fold(parseExpression(code, 3), text)).toBe(expected);
  });

  test('work that occurs twice becomes a variable, in order', () => {
    const { statements, result } = toSource(
      parseExpression('exp(-abs(x)) / (1 + exp(-abs(x))) * -abs(x)', 1),
      text,
      (name, truth, value) => `${truth ? 'bool' : 'float'} ${name} = ${value}`,
    );
    expect(statements).toEqual(['float t0 = (-abs(x))', 'float t1 = exp(t0)']);
    expect(result).toBe('((t1 / (1 + t1)) * t0)');
  });

  test.each([
    ['x $ y', /cannot read '\$ y'/],
    ['x +', /unexpected end/],
    ['(x', /expected '\)', got 'the end'/],
    ['x y', /unexpected 'y'/],
    ['w', /unknown name 'w'/],
    ['gamma(x)', /unknown function 'gamma'.*exp/],
    ['constructor(x)', /unknown function 'constructor'/],
    ['pow(x)', /pow takes 2 argument\(s\), got 1/],
    ['x ? 1 : 0', /'\?' takes truth values, got a number/],
    ['(x < 1) + 1', /'\+' takes numbers, got a truth value/],
    ['x && 1', /'&&' takes truth values/],
    ['x < 1 ? x : x < 2', /both sides of ':'/],
    ['z', /operand 'z' is not among the 2 operand\(s\)/],
  ])('%s is refused with its reason', (code, reason) => {
    expect(() => parseExpression(code, 2)).toThrow(reason);
  });
});
