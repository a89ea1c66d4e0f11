/** Several elementwise kernels as one, in WGSL. */
import type { DType } from '../backend.js';
import type { FusedParts, FusedSource } from '../gpu/dialect.js';

type Types = Readonly<Partial<Record<DType, string>>>;

/** Where the element of a view lies for one of the result: as `placesOf` of wgsl/elementwise.wgsl. */
const place = (view: number): string => `
fn place${view}(element: u32) -> i32 {
  var i = element;
  var at = p.offset${view};
  for (var axis = p.rank${view}; axis > 1u; ) {
    axis -= 1u;
    let dim = p.shape${view}[axis / 4u][axis % 4u];
    at += i32(i % dim) * p.strides${view}[axis / 4u][axis % 4u];
    i /= dim;
  }
  return at + i32(i) * p.strides${view}[0][0];
}`;

/**
 * What a step's operands go through, each by its place. From registers they come as they were rounded: compilers would make one operation of a product and a
 * sum. And none is seen to be another's equal: WGSL lets compilers assume that there is no infinity, and some make 0 of x - x.
 */
const HIDDEN = ['opaque', 'opaqueSecond', 'opaqueThird'] as const;
const hiding = `
fn opaqueSecond(v: f32) -> f32 { return bitcast<f32>(bitcast<u32>(v) + nothing); }
fn opaqueThird(v: f32) -> f32 { return bitcast<f32>(bitcast<u32>(v) | nothing); }`;

const count = (length: number): readonly number[] => Array.from({ length }, (_, i) => i);

export function fusedText(width: string, types: Types, { inputs, outputs, views, steps }: FusedParts): string {
  const members = [
    'size: u32',
    ...count(views).map(
      (v) => `rank${v}: u32, offset${v}: i32, shape${v}: array<vec4u, 2>, strides${v}: array<vec4i, 2>`,
    ),
  ];
  const buffers = [
    ...inputs.map((dtype, i) => `var<storage, read> in${i}: array<${types[dtype]!}>`),
    ...outputs.map((dtype, i) => `var<storage, read_write> out${i}: array<${types[dtype]!}>`),
    'var<uniform> p: FusedParams',
  ];
  // Each step is a function, so that its names are its own. What it computes in is decided by its element types, as where it runs by itself.
  const functions = steps.map(({ parts, types: own }, k) => {
    if (!parts) return `fn step${k}(x: ${types[own[0]!]!}) -> ${types[own[0]!]!} { return x; }`;
    const type = parts.whole ? 'i32' : 'f32';
    const output = types[parts.output]!;
    return `fn step${k}(${parts.operands.map(({ name }) => `${name}: ${type}`).join(', ')}) -> ${output} {
  ${[...parts.statements, `return ${output}(${parts.result});`].join('\n  ')}
}`;
  });
  const valueOf = (source: FusedSource, isOne: boolean): string => {
    if (source.kind === 'step') return `r${source.step}`;
    const at =
      source.kind === 'view' ? `place${source.view}(${isOne ? '0u' : 'i'})` : source.kind === 'element' ? 'i' : '0';
    return `in${source.buffer}[${at}]`;
  };
  const lines = steps.flatMap(({ parts, sources, target, isOne }, k) => {
    const values = sources.map((source, at) => {
      const value = valueOf(source, isOne);
      if (!parts) return value;
      if (parts.whole) return `i32(${value})`;
      return at > 0 || source.kind === 'step' ? `${HIDDEN[at]!}(f32(${value}))` : `f32(${value})`;
    });
    const computed = `let r${k} = step${k}(${values.join(', ')});`;
    if (target === null) return [computed];
    return [computed, isOne ? `if (i == 0u) { out${target}[0] = r${k}; }` : `out${target}[i] = r${k};`];
  });
  return `// include math.wgsl

${width}
struct FusedParams { ${members.join(', ')} }

${buffers.map((buffer, i) => `@group(0) @binding(${i}) ${buffer};`).join('\n')}
${hiding}
${count(views).map(place).join('\n')}
${functions.join('\n')}

@compute @workgroup_size(WIDTH)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  nothing = id.z;
  for (var i = id.x; i < p.size; i += groups.x * WIDTH) {
    ${lines.join('\n    ')}
  }
}
`;
}
