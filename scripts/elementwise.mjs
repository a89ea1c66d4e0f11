// Turns the formulas of src/ops/elementwise.ts into kernels: AssemblyScript SIMD for float32 and plain JavaScript loops for float64.
// Both fold the tree that src/backends/expression.ts parses; that module is loaded through esbuild because Node 20 reads no TypeScript.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Imports a TypeScript module of this repository. */
export async function importTypeScript(path) {
  const entry = join(dirname(fileURLToPath(import.meta.url)), '..', path);
  const bundled = await build({ entryPoints: [entry], bundle: true, format: 'esm', platform: 'node', write: false });
  return import(`data:text/javascript;base64,${Buffer.from(bundled.outputFiles[0].contents).toString('base64')}`);
}

const { BASE_FUNCTIONS, parseExpression, toSource } = await importTypeScript('src/backends/expression.ts');

/** Functions that are one or two instructions; a formula with no others is unrolled to four vectors a step. */
const CHEAP = {
  sqrt: 'f32x4.sqrt',
  abs: 'f32x4.abs',
  floor: 'f32x4.floor',
  min: 'f32x4.min',
  max: 'f32x4.max',
  isnan: 'isnan',
  isfinite: 'isfinite',
};
const LANE_OPERATORS = {
  '+': 'f32x4.add',
  '-': 'f32x4.sub',
  '*': 'f32x4.mul',
  '/': 'f32x4.div',
  '<': 'f32x4.lt',
  '<=': 'f32x4.le',
  '>': 'f32x4.gt',
  '>=': 'f32x4.ge',
  '==': 'f32x4.eq',
  '!=': 'f32x4.ne',
  '&&': 'v128.and',
  '||': 'v128.or',
};

const simd = {
  number: (value) => `f32x4.splat(${Number.isInteger(value) ? value.toFixed(1) : value})`,
  operand: (name) => name,
  negate: (a) => `f32x4.neg(${a})`,
  not: (a) => `v128.not(${a})`,
  binary: (operator, a, b) => `${LANE_OPERATORS[operator]}(${a}, ${b})`,
  choice: (test, then, otherwise) => `v128.bitselect(${then}, ${otherwise}, ${test})`,
  call: (name, operands) => `${CHEAP[name] ?? name}(${operands.join(', ')})`,
};

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
function lanesFunction(name, formula) {
  const { statements, result } = toSource(
    parse(name, formula),
    simd,
    (variable, _truth, text) => `const ${variable} = ${text};`,
  );
  const parameters = names(formula)
    .map((operand) => `${operand}: v128`)
    .join(', ');
  return `@inline function ${name}Lanes(${parameters}): v128 {\n${statements.map((line) => `  ${line}\n`).join('')}  return ${result};\n}\n`;
}

const isCheap = (formula) => [...formula.code.matchAll(/([a-z]\w*)\s*\(/g)].every(([, name]) => name in CHEAP);

/** How operand number `index` is read when its address moves along ('stream') and when it stays ('splat'). */
function reader(formula, index) {
  const operand = names(formula)[index];
  if (isTruth(formula, index)) {
    return {
      bytes: 1,
      vector: (j) => `loadTruth(${operand} + ${4 * j})`,
      part: (count) => `loadTruthPart(${operand}, ${count})`,
      splat: `splatTruth(${operand})`,
    };
  }
  return {
    bytes: 4,
    vector: (j) => `v128.load(${operand}, ${16 * j})`,
    part: (count) => `loadPart(${operand}, ${count})`,
    splat: `v128.load32_splat(${operand})`,
  };
}

/** The loops over one run of n elements; `streams[i]` says whether operand i moves along. */
function loops(name, formula, streams, indent) {
  const operands = names(formula);
  const readers = operands.map((_, index) => reader(formula, index));
  const truth = formula.result === 'bool';
  const apply = (read) =>
    `${name}Lanes(${operands.map((operand, index) => (streams[index] ? read(readers[index]) : `${operand}Splat`)).join(', ')})`;
  const advance = (count) =>
    [
      ...operands.flatMap((operand, index) =>
        streams[index] ? [`${operand} += ${count * readers[index].bytes};`] : [],
      ),
      `out += ${truth ? count : 4 * count};`,
    ].join(' ');
  const lines = operands.flatMap((operand, index) =>
    streams[index] ? [] : [`const ${operand}Splat = ${readers[index].splat};`],
  );
  lines.push('let left = n;');
  if (isCheap(formula)) {
    const four = [0, 1, 2, 3].map((j) => apply((read) => read.vector(j)));
    lines.push('for (; left >= 16; left -= 16) {');
    if (truth) lines.push(`  storeTruth16(out, ${four.join(', ')});`);
    else four.forEach((value, j) => lines.push(`  v128.store(out, ${value}, ${16 * j});`));
    lines.push(`  ${advance(16)}`, '}');
  }
  const whole = apply((read) => read.vector(0));
  const part = apply((read) => read.part('left'));
  lines.push(
    'for (; left >= 4; left -= 4) {',
    truth ? `  storeTruthPart(out, ${whole}, 4);` : `  v128.store(out, ${whole});`,
    `  ${advance(4)}`,
    '}',
  );
  lines.push(`if (left > 0) ${truth ? 'storeTruthPart' : 'storePart'}(out, ${part}, left);`);
  return lines.map((line) => indent + line).join('\n');
}

function unaryKernel(name, formula) {
  return `/** ${name}: ${formula.code}, over n elements. */
export function ${name}(x: usize, out: usize, n: i32): void {
${loops(name, formula, [true], '  ')}
}
`;
}

/** Which operands move along and which stay, for the specialised loops; of two operands one always moves, so there these three are all. */
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

function broadcastKernel(name, formula) {
  const operands = names(formula);
  const truth = formula.result === 'bool';
  const patterns = isCheap(formula) ? PATTERNS[formula.arity] : [];
  const complete = patterns.length === 3;
  const cases = patterns.map((streams, index) => {
    const test = operands.map((operand, i) => `${operand}Step == ${streams[i] ? 1 : 0}`).join(' && ');
    const head = index === 0 ? `if (${test})` : index < patterns.length - 1 || !complete ? `else if (${test})` : 'else';
    const own = operands
      .map((operand) => `let ${operand} = ${operand}Row;`)
      .concat('let out = outRow;')
      .join(' ');
    return `${head} {\n      ${own}\n${loops(name, formula, streams, '      ')}\n    }`;
  });
  const general = complete ? '' : `${patterns.length ? ' else ' : ''}{\n${generalLoop(name, formula)}\n    }`;
  const rowBytes = operands
    .map((operand, i) => `${operand}Row += <usize>${operand}RowStep${isTruth(formula, i) ? '' : ' << 2'};`)
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
export function ${name}(${parameters}): void {
  for (let row = 0; row < rows; row++) {
    ${cases.join(' ')}${general}
    ${rowBytes} outRow += <usize>n${truth ? '' : ' << 2'};
  }
}
`;
}

/** Any pattern of steps, one vector at a time. */
function generalLoop(name, formula) {
  const operands = names(formula);
  const readers = operands.map((_, index) => reader(formula, index));
  const lines = operands.map((operand) => `let ${operand} = ${operand}Row;`);
  lines.push('let out = outRow;', 'for (let left = n; left > 0; left -= 4) {');
  const values = operands.map(
    (operand, i) =>
      `${operand}Step ? (left >= 4 ? ${readers[i].vector(0)} : ${readers[i].part('left')}) : ${readers[i].splat}`,
  );
  lines.push(`  const value = ${name}Lanes(${values.join(', ')});`);
  if (formula.result === 'bool') lines.push('  storeTruthPart(out, value, min(left, 4));');
  else lines.push('  if (left >= 4) v128.store(out, value); else storePart(out, value, left);');
  operands.forEach((operand, i) => lines.push(`  if (${operand}Step) ${operand} += ${4 * readers[i].bytes};`));
  lines.push(`  out += ${formula.result === 'bool' ? 4 : 16};`, '}');
  return lines.map((line) => `      ${line}`).join('\n');
}

/** AssemblyScript for all formulas: `name(x, out, n)` for one operand, `name(x, y, out, rows, n, xRowStep, yRowStep, xStep, yStep)` for two, likewise three. */
export function emitAssemblyScript(formulas) {
  const functions = Object.keys(BASE_FUNCTIONS).filter((name) => !CHEAP[name]?.startsWith('f32x4'));
  const kernels = Object.entries(formulas).map(
    ([name, formula]) =>
      `${lanesFunction(name, formula)}\n${formula.arity === 1 ? unaryKernel(name, formula) : broadcastKernel(name, formula)}`,
  );
  return `import { loadPart, loadTruth, loadTruthPart, splatTruth, storePart, storeTruth16, storeTruthPart } from "../lanes";
import { ${functions.join(', ')} } from "../math";

${kernels.map((text) => renameExports(text, functions)).join('\n')}`;
}

/** Rows such as exp share their name with the function that they call: the import keeps it, the kernel is exported under it. */
function renameExports(text, functions) {
  return text.replace(/^export function (\w+)\(/m, (whole, name) =>
    functions.includes(name) ? `export { ${name}Kernel as ${name} };\nfunction ${name}Kernel(` : whole,
  );
}

const OPERATORS64 = { '==': '===', '!=': '!==' };
const HELPERS64 = { erf: 'erf', erfc: 'erfc', pow: 'power', isnan: 'Number.isNaN', isfinite: 'Number.isFinite' };

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
  return `import type { TypedArray } from '../../backend.js';
import { erf, erfc, power } from '../special.js';

/** The code that each loop below and its WebAssembly twin were made from. */
export const elementwiseCodes = ${JSON.stringify(Object.fromEntries(Object.entries(formulas).map(([name, formula]) => [name, formula.code])), null, 2)} as const;

/** What each elementwise op computes, in float64: out[at + i] from elements i of each operand, which starts at an offset and advances by a step. */
export const elementwiseLoops = {
${Object.entries(formulas)
  .map(([name, formula]) => float64Loop(name, formula))
  .join('')}} as const;
`;
}
