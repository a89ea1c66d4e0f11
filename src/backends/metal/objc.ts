/**
 * The Objective-C runtime through koffi, which is loaded when somebody asks for 'metal' and not before.
 */
import { TapegradError } from '../../errors.js';
import { importKoffi, type Koffi, type LibraryHandle } from '../koffi.js';
import { MetalError, unavailable } from './errors.js';
import {
  MESSAGES,
  type CType,
  type Id,
  type Message,
  type MessageName,
  type Messages,
  type Pointer,
} from './messages.js';

type NativeType = Parameters<Koffi['out']>[0];
type NativeCall = ((...args: unknown[]) => unknown) & { async(...args: unknown[]): void };

const framework = (name: string): string => `/System/Library/Frameworks/${name}.framework/${name}`;

// MTLCreateSystemDefaultDevice may answer nil in a command-line process unless CoreGraphics is loaded too.
const APPLE_LIBRARIES = [
  '/usr/lib/libobjc.A.dylib',
  framework('Foundation'),
  framework('CoreGraphics'),
  framework('Metal'),
];

const isAddress = (value: unknown): boolean => typeof value === 'bigint';
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * koffi converts what it is given without complaint: a number in a pointer's place becomes an address, an array in a struct's place
 * becomes zeros. Each argument is therefore looked at before it crosses.
 */
const GUARDS: Readonly<Record<CType, (value: unknown) => boolean>> = {
  void: () => false,
  id: (value) => value === null || isAddress(value),
  uint64: isCount,
  int64: Number.isSafeInteger,
  bool: (value) => typeof value === 'boolean',
  double: (value) => typeof value === 'number',
  cstring: (value) => typeof value === 'string' && !value.includes('\0'),
  pointer: isAddress,
  bytes: (value) => ArrayBuffer.isView(value) && value.byteLength > 0,
  errorSlot: (value) => Array.isArray(value) && value.length === 1,
  MTLSize: (value) => {
    const size = value as { width?: unknown; height?: unknown; depth?: unknown } | null;
    return (
      typeof size === 'object' && size !== null && isCount(size.width) && isCount(size.height) && isCount(size.depth)
    );
  },
};

/** Struct and pointer types are anonymous: koffi's type names are global to the process and may be taken. */
function nativeTypes(koffi: Koffi): Readonly<Record<CType, NativeType>> {
  const size = koffi.struct({ width: 'uint64', height: 'uint64', depth: 'uint64' });
  return {
    void: 'void',
    id: 'void *',
    uint64: 'uint64',
    int64: 'int64',
    bool: 'bool',
    double: 'double',
    cstring: 'const char *',
    pointer: 'void *',
    bytes: 'const void *',
    errorSlot: koffi.out(koffi.pointer('void *')),
    MTLSize: size,
  };
}

/** A loaded Objective-C runtime. Every symbol is looked up once; every message is cast to its method's own prototype once. */
export class Runtime {
  /** The messages of the table, callable. */
  readonly send: Messages;
  readonly retain: (object: Id) => Id;
  readonly release: (object: Id) => void;
  private readonly calls = new Map<MessageName, { call: NativeCall; selector: bigint }>();
  private readonly classNamed: (name: string) => Id | null;
  private readonly pushPool: () => bigint;
  private readonly popPool: (pool: bigint) => void;

  private constructor(
    private readonly koffi: Koffi,
    private readonly libraries: readonly LibraryHandle[],
  ) {
    this.retain = this.cFunction<(object: Id) => Id>('void *objc_retain(void *)');
    this.release = this.cFunction<(object: Id) => void>('void objc_release(void *)');
    this.classNamed = this.cFunction<(name: string) => Id | null>('void *objc_getClass(const char *)');
    this.pushPool = this.cFunction<() => bigint>('void *objc_autoreleasePoolPush()');
    this.popPool = this.cFunction<(pool: bigint) => void>('void objc_autoreleasePoolPop(void *)');
    this.send = this.bindMessages();
  }

  /**
   * Loads the runtime.
   *
   * @param library A library to use in place of Apple's, holding the same symbols; without one the system must be macOS.
   * @throws {DeviceError} Not macOS, koffi is missing, or a library does not load.
   */
  static async load(library?: string): Promise<Runtime> {
    if (library === undefined && process.platform !== 'darwin') {
      throw unavailable(`Metal needs macOS, this is ${process.platform}; use the 'cpu' device`);
    }
    const koffi = await importKoffi(unavailable);
    try {
      return new Runtime(
        koffi,
        (library === undefined ? APPLE_LIBRARIES : [library]).map((path) => koffi.load(path)),
      );
    } catch (cause) {
      if (cause instanceof TapegradError) throw cause;
      throw unavailable(`the system's libraries do not load: ${String(cause)}`);
    }
  }

  /** A C function by its prototype, from whichever library has it. */
  cFunction<F extends (...args: never[]) => unknown>(prototype: string): F {
    return this.lookUp((library) => library.func(prototype) as unknown as F, prototype);
  }

  /** The class of that name. */
  classOf(name: string): Id {
    const found = this.classNamed(name);
    if (found === null) throw unavailable(`the Objective-C runtime has no class ${name}`);
    return found;
  }

  /** Runs `body` inside an autorelease pool, so that objects which Metal hands out on loan are given back at its end. */
  pool<T>(body: () => T): T {
    const pool = this.pushPool();
    try {
      return body();
    } finally {
      this.popPool(pool);
    }
  }

  /** A message without arguments or result, sent from a worker thread: the way to wait without holding up the event loop. */
  sendAsync(name: 'waitUntilCompleted', self: Id): Promise<void> {
    const { call, selector } = this.calls.get(name)!;
    return new Promise((resolve, reject) => {
      call.async(self, selector, (error: Error | null) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /**
   * The memory itself as an ArrayBuffer. It dangles once its owner is released (Node 20 cannot detach it), so it stays private to the
   * buffer that owns the memory.
   */
  view(memory: Pointer, bytes: number): ArrayBuffer {
    return this.koffi.view(memory, bytes);
  }

  private lookUp<T>(find: (library: LibraryHandle) => T, what: string): T {
    for (const library of this.libraries) {
      try {
        return find(library);
      } catch {
        /* not in this one */
      }
    }
    throw unavailable(`no symbol for ${what} in the loaded libraries`);
  }

  /**
   * objc_msgSend is never called as the variadic function that its C header shows: Apple's arm64 passes variadic arguments on the stack,
   * where no method looks for them.
   */
  private bindMessages(): Messages {
    const types = nativeTypes(this.koffi);
    const msgSend: unknown = this.lookUp((library): unknown => library.symbol('objc_msgSend'), 'objc_msgSend');
    const registerName = this.cFunction<(name: string) => bigint>('void *sel_registerName(const char *)');
    const bound = Object.entries(MESSAGES).map(([name, message]: [string, Message]) => {
      const prototype = this.koffi.proto(types[message.result], [
        types.id,
        types.id,
        ...message.parameters.map((type) => types[type]),
      ]);
      const call = this.koffi.decode(msgSend, prototype) as NativeCall;
      const selector = registerName(message.selector);
      this.calls.set(name as MessageName, { call, selector });
      const guards = message.parameters.map((type) => GUARDS[type]);
      const send = (self: unknown, ...args: unknown[]): unknown => {
        if (!isAddress(self) || args.length !== guards.length || !args.every((value, i) => guards[i]!(value))) {
          throw new MetalError(
            `wrong arguments for ${message.selector}: expected a receiver and (${message.parameters.join(', ')})`,
          );
        }
        return call(self, selector, ...args);
      };
      return [name, send] as const;
    });
    return Object.fromEntries(bound) as unknown as Messages;
  }
}
