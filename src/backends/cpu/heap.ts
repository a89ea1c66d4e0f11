import { OutOfMemoryError } from '../../errors.js';
import { inflater } from '../../inflate.js';
import { code, memoryFlags } from './generated/kernels.js';

const PAGE = 65536;
const MAX_PAGES = 65536; // 4 GiB, the address space of WebAssembly
const ALIGN = 64;

/** What the WebAssembly exports, the kernels and what they need beside them: functions of addresses and numbers. */
type HeapFunctions = Readonly<Record<string, (...args: number[]) => number>>;

/**
 * Whether threads can share memory: always in Node, in a page only with cross-origin isolation.
 */
export const canShare =
  typeof SharedArrayBuffer !== 'undefined' && (typeof crossOriginIsolated === 'undefined' || crossOriginIsolated);

/** What is used of WebAssembly.Memory; TypeScript without DOM's declarations does not know the name. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** A stretch of the heap that somebody has taken. */
export interface Block {
  start: number;
  size: number;
}

/**
 * The WebAssembly memory of the process, and the functions that work in it. Memory is handed out in blocks; it grows on demand and, as
 * WebAssembly has it, never shrinks.
 */
class Heap {
  readonly memory: WasmMemory;
  readonly module: object;
  readonly functions: HeapFunctions;
  f32!: Float32Array;
  i32!: Int32Array;
  u8!: Uint8Array;
  f64!: Float64Array;
  private readonly free: Block[] = []; // by address, never adjacent
  private end: number;
  private aside = 0;
  used = 0;
  /** The most that `used` has been since the last `resetPeak()`. */
  peak = 0;
  /** Called when memory has run out: gives back blocks that can be done without. */
  relieve: () => void = () => undefined;

  constructor() {
    const memory = new WebAssembly.Memory({ initial: 16, maximum: MAX_PAGES, shared: canShare });
    const bytes = kernelCode();
    bytes[memoryFlags.at] = canShare ? memoryFlags.shared : memoryFlags.plain;
    const module = new WebAssembly.Module(bytes);
    this.memory = memory;
    this.module = module;
    const { sin, cos } = Math;
    const env = { memory, abort, sin, cos };
    this.functions = new WebAssembly.Instance(module, { env }).exports as unknown as HeapFunctions;
    this.refresh();
    const base = align(this.functions.heapBase!());
    this.end = this.memory.buffer.byteLength;
    this.free.push({ start: base, size: this.end - base });
    keepFreedMemory();
  }

  /** Bytes reserved from the system, what has been set aside excepted. */
  get reserved(): number {
    return this.end - this.aside;
  }

  /** A block of at least `bytes` bytes, uninitialised. @throws {OutOfMemoryError} */
  take(bytes: number): Block {
    const size = align(bytes);
    const at = this.roomFor(size);
    const room = this.free[at]!;
    const taken = { start: room.start, size };
    room.start += size;
    room.size -= size;
    if (room.size === 0) this.free.splice(at, 1);
    this.used += size;
    if (this.used > this.peak) this.peak = this.used;
    return taken;
  }

  /** Grows by at least that many bytes, where it can, for what is in use beside everything else. Memory that is never touched is none of the system's. */
  setAside(bytes: number): void {
    const before = this.end;
    try {
      this.grow(bytes + (this.free.at(-1)?.size ?? 0));
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
    }
    this.aside += Math.min(bytes, this.end - before);
  }

  /** The place in the list of a free block that is large enough. */
  private roomFor(size: number): number {
    const found = this.find(size);
    if (found >= 0) return found;
    try {
      this.grow(size);
    } catch {
      this.relieve();
      if (this.find(size) < 0) this.grow(size);
    }
    return this.find(size);
  }

  private find(size: number): number {
    return this.free.findIndex((block) => block.size >= size);
  }

  /** Gives a block back. */
  give({ start, size }: Block): void {
    this.used -= size;
    let at = this.free.findIndex((block) => block.start > start);
    if (at < 0) at = this.free.length;
    this.free.splice(at, 0, { start, size });
    this.join(at);
    this.join(at - 1);
  }

  /** Makes one of a free block and the next one, if they are neighbours. */
  private join(at: number): void {
    const block = this.free[at];
    const next = this.free[at + 1];
    if (block && block.start + block.size === next?.start) {
      block.size += next.size;
      this.free.splice(at + 1, 1);
    }
  }

  private grow(bytes: number): void {
    const last = this.free[this.free.length - 1];
    const atEnd = last && last.start + last.size === this.end ? last : null;
    const spare = atEnd?.size ?? 0;
    const pages = Math.ceil((bytes - spare) / PAGE);
    const wished = Math.min(Math.max(pages, Math.ceil(this.reserved / PAGE / 4)), MAX_PAGES - this.end / PAGE); // a quarter more, so that growing stays rare
    if (pages > wished) throw outOfMemory(bytes, this.end);
    try {
      this.memory.grow(wished);
    } catch {
      throw outOfMemory(bytes, this.end);
    }
    const added = wished * PAGE;
    this.refresh();
    if (atEnd) atEnd.size += added;
    else this.free.push({ start: this.end, size: added });
    this.end += added;
  }

  private refresh(): void {
    const { buffer } = this.memory;
    this.f32 = new Float32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u8 = new Uint8Array(buffer);
    this.f64 = new Float64Array(buffer);
  }
}

const outOfMemory = (bytes: number, reserved: number): OutOfMemoryError =>
  new OutOfMemoryError(
    'cpu',
    `no room for ${bytes} bytes: ${reserved} bytes are reserved and WebAssembly's address space ends at ${MAX_PAGES * PAGE}`,
  );

/** Every block and every piece of one begins at a multiple of 64: a line of the cache, and enough for any element type. */
export const align = (bytes: number): number => Math.ceil(bytes / ALIGN) * ALIGN;

/**
 * glibc returns large freed blocks to the system, and a result of a few megabytes then costs a page fault for every 4 KiB: as much as computing
 * it. It keeps blocks up to the size of the largest that it has seen freed, at most 32 MiB; so it is shown one (which is never touched). A plain `new` whose value
 * nobody wants is nothing to a bundler.
 */
function keepFreedMemory(): void {
  if (typeof process !== 'undefined' && process.platform === 'linux') Reflect.construct(ArrayBuffer, [31 * 2 ** 20]);
}

function abort(): never {
  throw new Error('a kernel aborted');
}

/** @internal The WebAssembly of the kernels; exported for a test of memory that is not shared. */
export const kernelCode = (): Uint8Array<ArrayBuffer> => inflater().inflate(decodeBase64(code));

/** By Node's own decoder where it is there: a loop over so many characters takes a fifth of what making the heap does. */
function decodeBase64(text: string): Uint8Array {
  const node = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:buffer');
  if (node) return node.Buffer.from(text, 'base64');
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

let instance: Heap | undefined;

/** The heap, made on first use: importing tapegrad compiles nothing. */
export const heap = (): Heap => (instance ??= new Heap());
