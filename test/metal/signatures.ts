/** The signatures of Metal kernels as their sources have them, to be compared with what the ops declare. */
import { ctcPlans } from '../../src/backends/gpu/ctc.js';
import type { GpuProgram } from '../../src/backends/gpu/device.js';
import { elementwiseSource } from '../../src/backends/gpu/elementwise.js';
import { Programs, sourceOf } from '../../src/backends/gpu/programs.js';
import type { Dispatch, Kernel } from '../../src/backends/kernel.js';
import { metal } from '../../src/backends/metal/dialect.js';

export interface Signature {
  /** The buffers' names in the order of their indices; inputs are const. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The parameter struct's members in order. */
  readonly params: Readonly<Record<string, string>>;
}

const MEMBER_TYPES: Readonly<Record<string, string>> = { uint: 'u32', int: 'i32', float: 'f32' };

function structMembers(source: string, name: string): Record<string, string> {
  const body = new RegExp(`struct ${name} \\{([^}]*)\\}`).exec(source)?.[1];
  if (body === undefined) throw new Error(`no struct ${name}`);
  const members: Record<string, string> = {};
  for (const statement of body.replace(/\/\/.*$/gm, '').split(';')) {
    const [, type, names] = /^\s*(\w+)\s+([\s\S]+)$/.exec(statement) ?? [];
    for (const member of names?.split(',') ?? []) {
      const [, own, length] = /^\s*(\w+)(?:\[(\d+)\])?\s*$/.exec(member)!;
      // Arrays are declared as vectors of four: see packParams.
      const [, scalar, lanes = '1'] = /^([a-z]+)(\d)?$/.exec(type!)!;
      members[own!] = MEMBER_TYPES[scalar!]! + (length ? `x${Number(lanes) * Number(length)}` : '');
    }
  }
  return members;
}

/** A kernel's signature in a source; buffer indices must count up from 0. */
export function signatureIn(source: string, entry: string): Signature {
  const list = new RegExp(`kernel void ${entry}\\(([\\s\\S]*?)\\) \\{`).exec(source)?.[1];
  if (list === undefined) throw new Error(`no kernel ${entry}`);
  const inputs: string[] = [];
  const outputs: string[] = [];
  let params: Record<string, string> = {};
  [...list.matchAll(/(device|constant)\s+(const\s+)?(\w+)\s*[*&](\w+)\s*\[\[buffer\((\d+)\)\]\]/g)].forEach(
    ([, space, isConst, type, name, index], place) => {
      if (Number(index) !== place) throw new Error(`kernel ${entry}: ${name!} has index ${index!} at place ${place}`);
      if (space === 'constant') params = structMembers(source, type!);
      else (isConst ? inputs : outputs).push(name!.replace(/_$/, ''));
    },
  );
  return { inputs, outputs, params };
}

/** The signature that a kernel has on the device. */
export function signatureOf(kernel: Kernel): Signature {
  if (!kernel.elementwise) return signatureIn(sourceOf(metal, kernel.family), kernel.name);
  const { arity, result, operands } = kernel.elementwise;
  const types = [
    ...operands.map((kind) => (kind === 'bool' ? ('bool' as const) : ('float32' as const))),
    result === 'bool' ? ('bool' as const) : ('float32' as const),
  ];
  const source = elementwiseSource(metal, kernel, types.slice(0, arity).concat(types[arity]!));
  return signatureIn(sourceOf(metal, 'elementwise') + source!, [kernel.name, ...types].join('_'));
}

export const declared = ({ inputs, outputs, params }: Kernel): Signature => ({ inputs, outputs, params });

/** Collects the kernels that are launched from now on, by plans as well. */
export function watchLaunches(): Set<Kernel> {
  const seen = new Set<Kernel>();
  const get = Object.getOwnPropertyDescriptor(Programs.prototype, 'get')!.value as (
    this: Programs,
    launch: Dispatch,
  ) => GpuProgram;
  Programs.prototype.get = function watched(this: Programs, launch: Dispatch) {
    seen.add(launch.kernel);
    return get.call(this, launch);
  };
  return seen;
}

/** The kernels that CTC's plans launch. */
export const ctcKernels = new Set(Object.values(ctcPlans).flatMap(({ kernels }) => kernels));
