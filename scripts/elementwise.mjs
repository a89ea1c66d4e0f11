// Turns the formulas of src/ops/elementwise.ts into kernels: AssemblyScript SIMD for the element types of scripts/elements.mjs, and plain JavaScript
// loops in float64 for any others. Both fold the tree that src/backends/expression.ts parses; that module is loaded through esbuild because Node 20 reads no TypeScript.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { ELEMENTS } from './elements.mjs';

/** Imports a TypeScript module of this repository. */
export async function importTypeScript(path) {
  const entry = join(dirname(fileURLToPath(import.meta.url)), '..', path);
  const bundled = await build({ entryPoints: [entry], bundle: true, format: 'esm', platform: 'node', write: false });
  return import(`data:text/javascript;base64,${Buffer.from(bundled.outputFiles[0].contents).toString('base64')}`);
}

const { parseExpression, toSource } = await importTypeScript('src/backends/expression.ts');

const names = (formula) => ['x', 'y', 'z'].slice(0, formula.arity);
const isTruth = (formula, index) => formula.operands?.[index] === 'bool';

/** Checks that a formula's code and its declared result agree, and parses it. */
function parse(name, formula) {
  const expression = parseExpression(formula.code, formula.arity);
  if (expression.truth !== (formula.result === 'bool'))
    throw new Error(
      `elementwise formula '${name}': result is declared ${formula.result ?? 'a number'}, the code says otherwise`,
    );
  return expression;
}

/** The inlined function on one vector of each operand. */
function lanesFunction(name, formula, element) {
  const { statements, result } = toSource(
    parse(name, formula),
    element.language,
    (variable, _truth, text) => `const ${variable} = ${text};`,
  );
  const parameters = names(formula)
    .map((operand) => `${operand}: v128`)
    .join(', ');
  return `@inline function ${name}${element.suffix}Lanes(${parameters}): v128 {\n${statements.map((line) => `  ${line}\n`).join('')}  return ${result};\n}\n`;
}

/** Whether a formula is a handful of instructions: then the loops are unrolled to four vectors a step. */
const isCheap = (formula, element) =>
  [...formula.code.matchAll(/([a-z]\w*)\s*\(/g)].every(([, name]) => name in element.cheap);

/** How operand number `index` is read when its address moves along (a vector, or the part that is left) and when it stays ('splat'). */
function reader(formula, index, element) {
  const operand = names(formula)[index];
  if (isTruth(formula, index)) {
    const { splat, vector, part } = element.truth;
    return {
      bytes: 1,
      vector: (j) => `${vector}(${operand} + ${element.lanes * j})`,
      part: `${part}(${operand}, left)`,
      splat: `${splat}(${operand})`,
    };
  }
  return {
    bytes: element.bytes,
    vector: (j) => `v128.load(${operand}, ${16 * j})`,
    part: element.part(operand, 'left'),
    splat: element.splat(operand),
  };
}

/** Where the operands' addresses and the result's go after that many elements; `moves` are tests of the operands that may stay. */
const advance = (formula, element, count, moves) =>
  [
    ...names(formula).flatMap((operand, index) =>
      moves[index] !== null ? [`${moves[index]}${operand} += ${count * reader(formula, index, element).bytes};`] : [],
    ),
    `out += ${count * (formula.result === 'bool' ? 1 : element.bytes)};`,
  ].join(' ');

/** Four vectors a step while there are as many, of the operands that move along and those that stay. */
function unrolled(name, formula, element, streams) {
  const { suffix, lanes, truth } = element;
  const readers = names(formula).map((_, index) => reader(formula, index, element));
  const value = (j) =>
    `${name}${suffix}Lanes(${readers.map(({ vector }, i) => (streams[i] ? vector(j) : `${names(formula)[i]}Splat`)).join(', ')})`;
  const four = [0, 1, 2, 3].map(value);
  return [
    `for (; left >= ${4 * lanes}; left -= ${4 * lanes}) {`,
    ...(formula.result === 'bool'
      ? [`  ${truth.four}(out, ${four.join(', ')});`]
      : four.map((vector, j) => `  v128.store(out, ${vector}, ${16 * j});`)),
    `  ${advance(
      formula,
      element,
      4 * lanes,
      streams.map((moves) => (moves ? '' : null)),
    )}`,
    '}',
  ];
}

/** The loop over whole vectors and what is left apart, for what is called often enough to be worth its bytes. */
function apart(name, { arity, result }, { suffix, lanes, part, storePart }) {
  if (arity !== 1 || result === 'bool') throw new Error(`no loop over whole vectors for '${name}'`);
  const of = (vector) => `${name}${suffix}Lanes(${vector})`;
  return [
    `for (; left >= ${lanes}; left -= ${lanes}) {`,
    `  v128.store(out, ${of('v128.load(x)')});`,
    '  x += 16; out += 16;',
    '}',
    `if (left > 0) ${storePart('out', of(part('x', 'left')), 'left')};`,
  ];
}

/** One vector a step, and what is left in the end; `steps` says how an operand is read: 'moves', 'stays', or by its step. */
function remaining(name, formula, element, steps) {
  const { suffix, lanes, storePart, truth } = element;
  const operands = names(formula);
  const readers = operands.map((_, index) => reader(formula, index, element));
  const values = readers.map(({ vector, part, splat }, i) => {
    const moving = `(left >= ${lanes} ? ${vector(0)} : ${part})`;
    return { moves: moving, stays: `${operands[i]}Splat`, either: `${operands[i]}Step ? ${moving} : ${splat}` }[
      steps[i]
    ];
  });
  const store =
    formula.result === 'bool'
      ? `${truth.store}(out, value, min(left, ${lanes}));`
      : `if (left >= ${lanes}) v128.store(out, value); else ${storePart('out', 'value', 'left')};`;
  const moves = steps.map((step, i) => ({ moves: '', stays: null, either: `if (${operands[i]}Step) ` })[step]);
  return [
    'if (left > 0) do { // not a loop that may run not at all: constants would be made again in every step',
    `  const value = ${name}${suffix}Lanes(${values.join(', ')});`,
    `  ${store}`,
    `  ${advance(formula, element, lanes, moves)}`,
    `} while ((left -= ${lanes}) > 0);`,
  ];
}

/** The loops over one run of n elements; `streams[i]` says whether operand i moves along. */
function loops(name, formula, element, streams) {
  const operands = names(formula);
  return [
    ...operands.flatMap((operand, index) =>
      streams[index] ? [] : [`const ${operand}Splat = ${reader(formula, index, element).splat};`],
    ),
    'let left = n;',
    ...(element.often.includes(name)
      ? apart(name, formula, element)
      : [
          ...(isCheap(formula, element) ? unrolled(name, formula, element, streams) : []),
          ...remaining(
            name,
            formula,
            element,
            streams.map((moves) => (moves ? 'moves' : 'stays')),
          ),
        ]),
  ];
}

const indented = (lines, indent) => lines.map((line) => indent + line).join('\n');

function unaryKernel(name, formula, element) {
  return `/** ${name}: ${formula.code}, over n elements. */
export function ${name}${element.suffix}(x: usize, out: usize, n: i32): void {
${indented(loops(name, formula, element, [true]), '  ')}
}
`;
}

/**
 * Which operands move along and which stay, for the specialised loops, the most common first; of two operands one always moves, so there these
 * three are all.
 */
const PATTERNS = {
  2: [
    [true, true],
    [true, false],
    [false, true],
  ],
  3: [
    [true, true, true],
    [true, false, false],
    [true, true, false],
    [true, false, true],
  ],
};

function broadcastKernel(name, formula, element) {
  const operands = names(formula);
  const truth = formula.result === 'bool';
  const patterns = isCheap(formula, element) ? PATTERNS[formula.arity].slice(0, element.patterns[formula.arity]) : [];
  const complete = patterns.length === 3;
  const cases = patterns.map((streams, index) => {
    const test = operands.map((operand, i) => `${operand}Step == ${streams[i] ? 1 : 0}`).join(' && ');
    const head = index === 0 ? `if (${test})` : index < patterns.length - 1 || !complete ? `else if (${test})` : 'else';
    return `${head} {\n${indented([...begin(operands), ...loops(name, formula, element, streams)], '      ')}\n    }`;
  });
  const rest = [
    ...begin(operands),
    'let left = n;',
    ...remaining(
      name,
      formula,
      element,
      operands.map(() => 'either'),
    ),
  ];
  const general = complete ? '' : `${patterns.length ? ' else ' : ''}{\n${indented(rest, '      ')}\n    }`;
  const rowBytes = operands
    .map((operand, i) => `${operand}Row += <isize>${operand}RowStep * ${reader(formula, i, element).bytes};`)
    .join(' ');
  const parameters = [
    ...operands.map((operand) => `${operand}Row: usize`),
    'outRow: usize',
    'rows: i32',
    'n: i32',
    ...operands.map((operand) => `${operand}RowStep: i32`),
    ...operands.map((operand) => `${operand}Step: i32`),
  ].join(', ');
  return `/**
 * ${name}: ${formula.code}, over \`rows\` runs of n elements of a contiguous result. An operand's step is 1 where its elements lie side by side and
 * 0 where one element serves the whole run; its row step, in elements, leads from run to run.
 */
export function ${name}${element.suffix}(${parameters}): void {
  for (let row = 0; row < rows; row++) {
    ${cases.join(' ')}${general}
    ${rowBytes} outRow += <isize>n * ${truth ? 1 : element.bytes};
  }
}
`;
}

const begin = (operands) => [
  operands.map((operand) => `let ${operand} = ${operand}Row;`).join(' '),
  'let out = outRow;',
];

/** Whether a formula is generated for an element type: one that has all that the code asks for. */
function suits(name, formula, element) {
  if (element.only && !element.only.includes(name)) return false;
  if (names(formula).every((_, index) => isTruth(formula, index))) return element.bytes === 1;
  return [...formula.code.matchAll(/([a-z]\w*)\s*\(/g)].every(
    ([, called]) => called in element.cheap || element.functions.includes(called),
  );
}

/**
 * AssemblyScript for all formulas and element types: `name(x, out, n)` for one operand, `name(x, y, out, rows, n, xRowStep, yRowStep, xStep, yStep)`
 * for two, likewise three; `nameF64` and so on for the other types.
 */
export function emitAssemblyScript(formulas) {
  const imports = ELEMENTS.flatMap(({ libraries, suffix }) =>
    Object.entries(libraries).map(
      ([library, functions]) =>
        `import { ${functions.map((name) => (suffix ? `${name} as ${name}${suffix}` : name)).join(', ')} } from "${library}";\n`,
    ),
  );
  const kernels = ELEMENTS.flatMap((element) =>
    Object.entries(formulas)
      .filter(([name, formula]) => suits(name, formula, element))
      .map(
        ([name, formula]) =>
          `${lanesFunction(name, formula, element)}\n${(formula.arity === 1 ? unaryKernel : broadcastKernel)(name, formula, element)}`,
      )
      .map((text) => renameExports(text, element)),
  );
  const readers = new Set(kernels.join('').match(/(?<![.\w])(?:load|store|splat)[A-Z]\w*(?=\()/g));
  return `import { ${[...readers].sort().join(', ')} } from "../lanes";
${imports.join('')}
${kernels.join('\n')}`;
}

/** Rows such as exp share their name with the function that they call: the import keeps it, the kernel is exported under it. */
function renameExports(text, { functions, suffix }) {
  return text.replace(/^export function (\w+)\(/m, (whole, name) =>
    functions.some((called) => called + suffix === name)
      ? `export { ${name}Kernel as ${name} };\nfunction ${name}Kernel(`
      : whole,
  );
}

const OPERATORS64 = { '==': '===', '!=': '!==' };
/** Functions of src/backends/cpu/special.ts. */
const SPECIAL64 = ['erf', 'erfc', 'normalCdf', 'power'];
const HELPERS64 = {
  erf: 'erf',
  erfc: 'erfc',
  normalCdf: 'normalCdf',
  pow: 'power',
  isnan: 'Number.isNaN',
  isfinite: 'Number.isFinite',
};

const float64 = {
  number: (value) => String(value),
  operand: (name) => name,
  negate: (a) => `-(${a})`,
  not: (a) => `!(${a})`,
  binary: (operator, a, b) => `(${a} ${OPERATORS64[operator] ?? operator} ${b})`,
  choice: (test, then, otherwise) => `(${test} ? ${then} : ${otherwise})`,
  call: (name, operands) =>
    name === 'rem' ? `(${operands.join(' % ')})` : `${HELPERS64[name] ?? `Math.${name}`}(${operands.join(', ')})`,
};

/** The loop over one run of elements; every operand has an offset and a step of its own. */
function float64Loop(name, formula) {
  const operands = names(formula);
  const { statements, result } = toSource(
    parse(name, formula),
    float64,
    (variable, _truth, text) => `const ${variable} = ${text};`,
  );
  const value = formula.result === 'bool' ? `${result} ? 1 : 0` : result;
  const lines = [
    ...operands.map((operand) => `const ${operand} = ${operand}s[${operand}At + i * ${operand}Step]!;`),
    ...statements,
    `out[at + i] = ${value};`,
  ];
  const parameters = operands
    .map((operand) => `${operand}s: TypedArray, ${operand}At: number, ${operand}Step: number`)
    .join(', ');
  return `  ${name}(out: TypedArray, at: number, n: number, ${parameters}): void {
    for (let i = 0; i < n; i++) {
${lines.map((line) => `      ${line}\n`).join('')}    }
  },
`;
}

/** TypeScript for all formulas: loops in float64, over arrays of any kind; truth values are 0 and 1. */
export function emitFloat64(formulas) {
  const loops = Object.entries(formulas).map(([name, formula]) => float64Loop(name, formula));
  const helpers = SPECIAL64.filter((name) =>
    loops.some((text) => text.includes(` ${name}(`) || text.includes(`(${name}(`)),
  );
  return `import type { TypedArray } from '../../backend.js';
import { ${helpers.join(', ')} } from '../special.js';

/** The code that each loop below and its WebAssembly twin were made from. */
export const elementwiseCodes = ${JSON.stringify(Object.fromEntries(Object.entries(formulas).map(([name, formula]) => [name, formula.code])), null, 2)} as const;

/** What each elementwise op computes, in float64: out[at + i] from elements i of each operand, which starts at an offset and advances by a step. */
export const elementwiseLoops = {
${loops.join('')}} as const;
`;
}
