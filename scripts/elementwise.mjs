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
  const parameters = names(formula)
    .map((operand) => `${operand}: v128`)
    .join(', ');
  if (element.own.includes(name))
    return `@inline function ${name}${element.suffix}Lanes(${parameters}): v128 {\n  return ${name}${element.suffix}(${names(formula).join(', ')});\n}\n`;
  const { statements, result } = toSource(
    parse(name, formula),
    element.seldom.includes(name) ? element.calling : element.language,
    (variable, _truth, text) => `const ${variable} = ${text};`,
  );
  return `@inline function ${name}${element.suffix}Lanes(${parameters}): v128 {\n${statements.map((line) => `  ${line}\n`).join('')}  return ${result};\n}\n`;
}

/** Whether a formula has loops of whole vectors beside the one for any operands: it calls nothing that takes much longer than a loop's own steps. */
const isCheap = (formula, element) =>
  [...formula.code.matchAll(/([a-z]\w*)\s*\(/g)].every(([, name]) => name in element.cheap);

/**
 * Whether those loops take four vectors a step: for a handful of instructions. Truth values are always stored four vectors at once. What is longer would
 * take bytes, its constants above all, which four times over are most of the code.
 */
const isShort = (formula) =>
  formula.result === 'bool' || (formula.code.match(/[-+*/]|[<>=!]=?|\|\||&&|\?|[a-z]\w*\s*\(/g) ?? []).length <= 5;

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

/** One vector or four a step while there are as many, of the operands that move along and those that stay. */
function wholeVectors(name, formula, element, streams) {
  const { suffix, lanes, truth } = element;
  const readers = names(formula).map((_, index) => reader(formula, index, element));
  const value = (j) =>
    `${name}${suffix}Lanes(${readers.map(({ vector }, i) => (streams[i] ? vector(j) : `${names(formula)[i]}Splat`)).join(', ')})`;
  const vectors = (isShort(formula) ? [0, 1, 2, 3] : [0]).map(value);
  const step = vectors.length * lanes;
  const isOften = element.often.includes(name);
  return [
    ...names(formula).flatMap((operand, index) =>
      streams[index] ? [] : [`const ${operand}Splat = ${readers[index].splat};`],
    ),
    isOften ? `if (left >= ${step}) do {` : `for (; left >= ${step}; left -= ${step}) {`,
    ...(formula.result === 'bool'
      ? [`  ${truth.four}(out, ${vectors.join(', ')});`]
      : vectors.map((vector, j) => `  v128.store(out, ${vector}, ${16 * j});`)),
    `  ${advance(
      formula,
      element,
      step,
      streams.map((moves) => (moves ? '' : null)),
    )}`,
    isOften ? `} while ((left -= ${step}) >= ${step});` : '}', // of many constants: see `remaining`
  ];
}

/** The loop over whole vectors and what is left apart, for what is called often enough to be worth its bytes. */
function apart(name, { arity, result }, { suffix, lanes, part, storePart }) {
  if (arity !== 1 || result === 'bool') throw new Error(`no loop over whole vectors for '${name}'`);
  const of = (vector) => `${name}${suffix}Lanes(${vector})`;
  return [
    `if (left >= ${lanes}) do { // not a loop that may run not at all: constants would be made again in every step`,
    `  v128.store(out, ${of('v128.load(x)')});`,
    '  x += 16; out += 16;',
    `} while ((left -= ${lanes}) >= ${lanes});`,
    `if (left > 0) ${storePart('out', of(part('x', 'left')), 'left')};`,
  ];
}

/** Whole vectors of operands that move along or stay. */
function anyVectors(name, formula, element) {
  const { suffix, lanes } = element;
  const operands = names(formula);
  const values = operands.map((operand, index) => {
    const { vector, splat } = reader(formula, index, element);
    return `${operand}Step ? ${vector(0)} : ${splat}`;
  });
  return [
    `for (; left >= ${lanes}; left -= ${lanes}) {`,
    `  v128.store(out, ${name}${suffix}Lanes(${values.join(', ')}));`,
    `  ${advance(
      formula,
      element,
      lanes,
      operands.map((operand) => `if (${operand}Step) `),
    )}`,
    '}',
  ];
}

/** One vector a step, and what is left in the end, of operands that move along or stay. */
function remaining(name, formula, element) {
  const { suffix, lanes, storePart, truth } = element;
  const operands = names(formula);
  const isAlone = operands.length === 1;
  const values = operands.map((operand, index) => {
    const { vector, part, splat } = reader(formula, index, element);
    const moving = `left >= ${lanes} ? ${vector(0)} : ${part}`;
    return isAlone ? moving : `${operand}Step ? (${moving}) : ${splat}`;
  });
  const store =
    formula.result === 'bool'
      ? `${truth.store}(out, value, min(left, ${lanes}));`
      : `if (left >= ${lanes}) v128.store(out, value); else ${storePart('out', 'value', 'left')};`;
  const moves = operands.map((operand) => (isAlone ? '' : `if (${operand}Step) `));
  return [
    'if (left > 0) do { // not a loop that may run not at all: constants would be made again in every step',
    `  const value = ${name}${suffix}Lanes(${values.join(', ')});`,
    `  ${store}`,
    `  ${advance(formula, element, lanes, moves)}`,
    `} while ((left -= ${lanes}) > 0);`,
  ];
}

const indented = (lines, indent) => lines.map((line) => indent + line).join('\n');

function unaryKernel(name, formula, element) {
  const loops = element.often.includes(name)
    ? apart(name, formula, element)
    : [
        ...(isCheap(formula, element) && isShort(formula) ? wholeVectors(name, formula, element, [true]) : []),
        ...remaining(name, formula, element),
      ];
  return `/** ${name}: ${formula.code}, over n elements. */
export function ${name}${element.suffix}(x: usize, out: usize, n: i32): void {
${indented(['let left = n;', ...loops], '  ')}
}
`;
}

/** Which operands move along and which stay, for the loops of whole vectors, the most common first. */
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

/** How many of them a formula has; for the others, and for what these leave, there is the loop that tests. */
function patternsOf(name, formula, element) {
  if (element.often.includes(name)) return PATTERNS[formula.arity].slice(0, 1);
  if (!isCheap(formula, element)) return [];
  const { patterns } = element;
  return PATTERNS[formula.arity].slice(
    0,
    isShort(formula) ? (patterns[name] ?? patterns[formula.arity]) : patterns.long,
  );
}

function broadcastKernel(name, formula, element) {
  const operands = names(formula);
  const truth = formula.result === 'bool';
  const cases = patternsOf(name, formula, element).map((streams) => {
    const test = operands.map((operand, i) => `${operand}Step == ${streams[i] ? 1 : 0}`).join(' && ');
    return `if (${test}) {\n${indented(wholeVectors(name, formula, element, streams), '      ')}\n    }`;
  });
  const body = [
    ...operands.map((operand) => `let ${operand} = ${operand}Row;`),
    'let out = outRow, left = n;',
    ...(cases.length > 0 ? [cases.join(' else ')] : []),
    ...(element.shortRows && cases.length > 0 && isShort(formula) && !truth ? anyVectors(name, formula, element) : []),
    ...remaining(name, formula, element),
  ];
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
${indented(body, '    ')}
    ${rowBytes} outRow += <isize>n * ${truth ? 1 : element.bytes};
  }
}
`;
}

/** Comparisons that are another one with its operands exchanged: kernels that call its kernel. */
const MIRRORED = { greater: 'less', greaterEqual: 'lessEqual' };

function mirroredKernel(name, formula, { suffix }) {
  const swapped = ['y', 'x'].map((operand) => `${operand}RowStep`).concat('yStep', 'xStep');
  return `/** ${name}: ${formula.code}, as \`${MIRRORED[name]}\`. */
export function ${name}${suffix}(xRow: usize, yRow: usize, outRow: usize, rows: i32, n: i32, xRowStep: i32, yRowStep: i32, xStep: i32, yStep: i32): void {
  ${MIRRORED[name]}${suffix}(yRow, xRow, outRow, rows, n, ${swapped.join(', ')});
}
`;
}

/** Whether a formula is generated for an element type: one that has all that the code asks for. */
function suits(name, formula, element) {
  if (element.only && !element.only.includes(name)) return false;
  if (names(formula).every((_, index) => isTruth(formula, index))) return element.bytes === 1;
  if (element.own.includes(name)) return true;
  return [...formula.code.matchAll(/([a-z]\w*)\s*\(/g)].every(
    ([, called]) => called in element.cheap || element.functions.includes(called),
  );
}

/** A function of a library that is called, not written out where it is used. */
function calledFunction(name) {
  const parameters = /^(pow|rem)/.test(name) ? ['x', 'y'] : ['x'];
  return `function ${name}(${parameters.map((one) => `${one}: v128`).join(', ')}): v128 {\n  return ${name.slice(0, -'Called'.length)}(${parameters.join(', ')});\n}\n`;
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
      .map(([name, formula]) =>
        name in MIRRORED
          ? mirroredKernel(name, formula, element)
          : `${lanesFunction(name, formula, element)}\n${(formula.arity === 1 ? unaryKernel : broadcastKernel)(name, formula, element)}`,
      )
      .map((text) => renameExports(text, element)),
  );
  const called = [...new Set(kernels.join('').match(/\b\w+Called(?=\()/g))].sort().map(calledFunction);
  const readers = new Set(kernels.join('').match(/(?<![.\w])(?:load|store|splat)[A-Z]\w*(?=\()/g));
  return `import { ${[...readers].sort().join(', ')} } from "../lanes";
${imports.join('')}
${[...called, ...kernels].join('\n')}`;
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
