/** The signatures of WGSL kernels as their texts have them, to be compared with what the ops declare. */
import { elementwiseSource } from '../../src/backends/gpu/elementwise.js';
import { sourceOf } from '../../src/backends/gpu/programs.js';
import type { Kernel } from '../../src/backends/kernel.js';
import { wgsl } from '../../src/backends/webgpu/dialect.js';
import type { Signature } from '../metal/signatures.js';

const MEMBER_TYPES: Readonly<Record<string, string>> = {
  'array<vec4u, 2>': 'u32x8',
  'array<vec4i, 2>': 'i32x8',
};

function structMembers(source: string, name: string): Record<string, string> {
  const body = new RegExp(`struct ${name} \\{([^}]*)\\}`).exec(source)?.[1];
  if (body === undefined) throw new Error(`no struct ${name}`);
  const members = body.replace(/\/\/.*$/gm, '').matchAll(/(\w+):\s*(array<[^>]*>|\w+)/g);
  return Object.fromEntries([...members].map(([, member, type]) => [member!, MEMBER_TYPES[type!] ?? type!]));
}

/** A kernel's signature in a module of its own; bindings must count up from 0. */
function signatureIn(source: string): Signature {
  const inputs: string[] = [];
  const outputs: string[] = [];
  let params: Record<string, string> = {};
  const bindings = source.matchAll(/^@group\(0\) @binding\((\d+)\) var<([\w, ]+)> (\w+): ([^;]+);/gm);
  [...bindings].forEach(([, index, space, name, type], place) => {
    if (Number(index) !== place) throw new Error(`${name!} has index ${index!} at place ${place}`);
    if (space === 'uniform') params = structMembers(source, type!);
    else (space === 'storage, read' ? inputs : outputs).push(name!.replace(/_$/, ''));
  });
  return { inputs, outputs, params };
}

/** The signature that a kernel has on the device. */
export function signatureInWgsl(kernel: Kernel): Signature {
  if (!kernel.elementwise) return signatureIn(sourceOf(wgsl, kernel.family, kernel.name));
  const { arity, result, operands } = kernel.elementwise;
  const types = [
    ...operands.slice(0, arity).map((kind) => (kind === 'bool' ? ('bool' as const) : ('float32' as const))),
    result === 'bool' ? ('bool' as const) : ('float32' as const),
  ];
  return signatureIn(sourceOf(wgsl, 'elementwise') + elementwiseSource(wgsl, kernel, types)!);
}
