/**
 * Every Objective-C message that the Metal backend sends, written down once: who receives it, its selector, and the C types of its
 * result and parameters. The binding builds its calls from this table, and a test compares each row with what the Objective-C runtime
 * says of the method (docs/metal.md prints the table for maintainers).
 */

/** The C types that appear in these methods. 'bytes' is `const void *`, 'errorSlot' is `NSError **`. */
export type CType =
  'void' | 'id' | 'uint64' | 'int64' | 'bool' | 'double' | 'cstring' | 'pointer' | 'bytes' | 'errorSlot' | 'MTLSize';

declare const address: unique symbol;

/** The address of an Objective-C object or class. A plain number is no address: handing one to koffi would be followed blindly. */
export type Id = bigint & { readonly [address]: 'id' };

/** The address of memory that an object owns. */
export type Pointer = bigint & { readonly [address]: 'memory' };

/** MTLSize; all three members are spelled out because koffi takes a missing one for zero. */
interface Size {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
}

/** Where a method that can fail leaves its NSError. */
export type ErrorSlot = [error: Id | null];

/** What each C type is in TypeScript. */
interface Meaning {
  void: void;
  id: Id | null;
  uint64: number;
  int64: number;
  bool: boolean;
  double: number;
  cstring: string;
  pointer: Pointer | null;
  bytes: ArrayBufferView;
  errorSlot: ErrorSlot;
  MTLSize: Size;
}

/** The objects that answer messages here; a plus sign marks a class. */
type Receiver =
  | '+NSString'
  | 'string'
  | 'error'
  | 'array'
  | '+MTLCompileOptions'
  | 'options'
  | 'device'
  | 'library'
  | 'pipeline'
  | 'buffer'
  | 'queue'
  | 'commandBuffer'
  | 'encoder';

export interface Message {
  readonly to: Receiver;
  readonly selector: string;
  readonly result: CType;
  readonly parameters: readonly CType[];
}

export const MESSAGES = {
  stringWithUTF8String: { to: '+NSString', selector: 'stringWithUTF8String:', result: 'id', parameters: ['cstring'] },
  utf8String: { to: 'string', selector: 'UTF8String', result: 'cstring', parameters: [] },
  localizedDescription: { to: 'error', selector: 'localizedDescription', result: 'id', parameters: [] },
  firstObject: { to: 'array', selector: 'firstObject', result: 'id', parameters: [] },
  newOptions: { to: '+MTLCompileOptions', selector: 'new', result: 'id', parameters: [] },
  setFastMathEnabled: { to: 'options', selector: 'setFastMathEnabled:', result: 'void', parameters: ['bool'] },
  name: { to: 'device', selector: 'name', result: 'id', parameters: [] },
  supportsFamily: { to: 'device', selector: 'supportsFamily:', result: 'bool', parameters: ['int64'] },
  maxBufferLength: { to: 'device', selector: 'maxBufferLength', result: 'uint64', parameters: [] },
  newLibrary: {
    to: 'device',
    selector: 'newLibraryWithSource:options:error:',
    result: 'id',
    parameters: ['id', 'id', 'errorSlot'],
  },
  newPipeline: {
    to: 'device',
    selector: 'newComputePipelineStateWithFunction:error:',
    result: 'id',
    parameters: ['id', 'errorSlot'],
  },
  newBuffer: { to: 'device', selector: 'newBufferWithLength:options:', result: 'id', parameters: ['uint64', 'uint64'] },
  newCommandQueue: { to: 'device', selector: 'newCommandQueue', result: 'id', parameters: [] },
  newFunction: { to: 'library', selector: 'newFunctionWithName:', result: 'id', parameters: ['id'] },
  maxThreads: { to: 'pipeline', selector: 'maxTotalThreadsPerThreadgroup', result: 'uint64', parameters: [] },
  contents: { to: 'buffer', selector: 'contents', result: 'pointer', parameters: [] },
  commandBuffer: { to: 'queue', selector: 'commandBuffer', result: 'id', parameters: [] },
  computeCommandEncoder: { to: 'commandBuffer', selector: 'computeCommandEncoder', result: 'id', parameters: [] },
  commit: { to: 'commandBuffer', selector: 'commit', result: 'void', parameters: [] },
  waitUntilCompleted: { to: 'commandBuffer', selector: 'waitUntilCompleted', result: 'void', parameters: [] },
  status: { to: 'commandBuffer', selector: 'status', result: 'uint64', parameters: [] },
  error: { to: 'commandBuffer', selector: 'error', result: 'id', parameters: [] },
  gpuStartTime: { to: 'commandBuffer', selector: 'GPUStartTime', result: 'double', parameters: [] },
  gpuEndTime: { to: 'commandBuffer', selector: 'GPUEndTime', result: 'double', parameters: [] },
  setPipeline: { to: 'encoder', selector: 'setComputePipelineState:', result: 'void', parameters: ['id'] },
  setBuffer: {
    to: 'encoder',
    selector: 'setBuffer:offset:atIndex:',
    result: 'void',
    parameters: ['id', 'uint64', 'uint64'],
  },
  setBytes: {
    to: 'encoder',
    selector: 'setBytes:length:atIndex:',
    result: 'void',
    parameters: ['bytes', 'uint64', 'uint64'],
  },
  dispatchThreadgroups: {
    to: 'encoder',
    selector: 'dispatchThreadgroups:threadsPerThreadgroup:',
    result: 'void',
    parameters: ['MTLSize', 'MTLSize'],
  },
  endEncoding: { to: 'encoder', selector: 'endEncoding', result: 'void', parameters: [] },
} as const satisfies Record<string, Message>;

export type MessageName = keyof typeof MESSAGES;

type Arguments<P extends readonly CType[]> = { -readonly [I in keyof P]: Meaning[P[I]] };

/** A message as a function: the receiver first, then the arguments. Nil never answers here: a null receiver does not typecheck. */
type Send<M extends Message> = (self: Id, ...args: Arguments<M['parameters']>) => Meaning[M['result']];

/** All messages as functions. */
export type Messages = { readonly [N in MessageName]: Send<(typeof MESSAGES)[N]> };
