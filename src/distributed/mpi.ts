/**
 * libmpi through koffi. Calls are raw and unchecked against the other ranks:
 * see world.ts for what makes them safe.
 *
 * Only non-blocking calls are bound, to be polled with `isDone`. A blocking one would stop the event loop; on a thread of koffi's it would overrun its
 * small stack under MPICH, and keep a process from exiting. One call for each purpose also keeps the order of summation, which in
 * Open MPI differs between MPI_Allreduce and MPI_Iallreduce.
 */
import { importKoffi, type LibraryHandle } from '../backends/koffi.js';
import { type Abi, ABIS, type AbiName, type HandleName, HANDLES, VERSION_BYTES } from './abi.js';
import { MpiError } from './errors.js';
import { LAST_WORDS_MS, pause } from './lastwords.js';

/** Arrays that MPI reads and writes. Their memory must not move: it must not be a resizable buffer's. */
export type Flat = Float32Array | Float64Array | Int32Array | Uint8Array;

export type Reduction = 'sum' | 'max' | 'min';

/** A call under way. */
export interface Request {
  readonly slot: Int32Array | BigInt64Array;
  readonly arrays: readonly Flat[];
}

type Handle = unknown;
type NativeCall = (...args: unknown[]) => number;

/** The parameters of each call: p a pointer, i an int, h a handle. */
const CALLS = {
  Initialized: 'p',
  Init_thread: 'ppip',
  Comm_set_errhandler: 'hh',
  Comm_rank: 'hp',
  Comm_size: 'hp',
  Error_string: 'ipp',
  Iallreduce: 'ppihhhp',
  Ibcast: 'pihihp',
  Iallgather: 'pihpihhp',
  Isend: 'pihiihp',
  Irecv: 'pihiihp',
  Test: 'ppp',
  Abort: 'hi',
  Finalize: '',
} as const;
type CallName = keyof typeof CALLS;

/**
 * UCX carries the messages of many MPIs, and reads these from the environment when it is loaded. It would catch SIGSEGV, the signal by which V8
 * learns of WebAssembly traps. And to see whether it notices changes of the heap, it moves the heap's end by a page and back: if one of
 * Node's threads allocates in between, the page that it got is gone, and the process dies (one start in twenty with MPICH 4.0 and UCX 1.13).
 */
const SETTINGS = { UCX_ERROR_SIGNALS: 'SIGILL,SIGBUS,SIGFPE', UCX_MEM_EVENTS: 'no' };

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const textOf = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? bytes : bytes.subarray(0, end));
};

const cell = (): Int32Array => new Int32Array(new ArrayBuffer(4));

export class Mpi {
  readonly rank: number;
  readonly size: number;
  private readonly call: Readonly<Record<CallName, NativeCall>>;
  private readonly handles: Readonly<Record<HandleName, Handle>>;
  private readonly flag = cell();
  /** Whatever MPI may still read or write, also when nobody waits for it any more: collected, it would be memory that is free. */
  private readonly pending = new Set<Request>();

  /** Initialises MPI, which a process can do once. */
  private constructor(
    library: LibraryHandle,
    /** What the library calls itself, in a few words, and its file. */
    readonly description: string,
    private readonly abi: Abi,
  ) {
    const types = { p: 'void *', i: 'int', h: abi.handleType };
    const bind = ([name, parameters]: [string, string]): [string, NativeCall] => [
      name,
      library.func(
        `MPI_${name}`,
        'int',
        Array.from(parameters, (key) => types[key as keyof typeof types]),
      ),
    ];
    this.call = Object.fromEntries(Object.entries(CALLS).map(bind)) as Record<CallName, NativeCall>;
    this.handles = Object.fromEntries(
      HANDLES.map((name): [HandleName, Handle] => {
        const handle = abi.handles[name];
        return [name, typeof handle === 'string' ? (library.symbol(handle) as unknown) : handle];
      }),
    ) as Record<HandleName, Handle>;
    this.run('Initialized', this.flag);
    // Of MPI's levels the one for calls from any thread, one at a time: Node may run this in a worker.
    if (this.flag[0] === 0) this.run('Init_thread', null, null, abi.serialized, cell());
    this.run('Comm_set_errhandler', this.handles.world, this.handles.errorsReturn);
    this.rank = this.ask('Comm_rank');
    this.size = this.ask('Comm_size');
  }

  /**
   * Loads the first library that is there.
   * @throws {MpiError} koffi or the library is missing, or the library is of no known kind.
   */
  static async open(candidates: readonly string[]): Promise<Mpi> {
    for (const [name, value] of Object.entries(SETTINGS)) process.env[name] ??= value;
    const koffi = await importKoffi((problem) => new MpiError('init', `MPI needs koffi: ${problem}`));
    const failures: string[] = [];
    for (const path of candidates) {
      let library: LibraryHandle;
      try {
        library = koffi.load(path, { global: true }); // Open MPI's plugins look for its symbols among those of the whole process
      } catch (error) {
        failures.push(`${path} (${message(error)})`);
        continue;
      }
      const version = versionOf(library, path);
      const first = version.split(/[\n,]/u)[0]!.replace(/\s+/gu, ' ').trim();
      return new Mpi(library, `${first} (${path})`, ABIS[abiOf(library, path, version)]);
    }
    throw new MpiError(
      'init',
      `no MPI library was found; set TAPEGRAD_MPI to the file of one. Tried: ${failures.join('; ')}`,
    );
  }

  allreduce(array: Flat, reduction: Reduction): Request {
    const { world, [reduction]: op } = this.handles;
    return this.start('Iallreduce', [array], [this.abi.inPlace, array, array.length, this.typeOf(array), op, world]);
  }

  broadcast(array: Flat, root: number): Request {
    return this.start('Ibcast', [array], [array, array.length, this.typeOf(array), root, this.handles.world]);
  }

  /** @param all as many times `own` as there are ranks, in their order. */
  allgather(own: Flat, all: Flat): Request {
    const type = this.typeOf(own);
    return this.start(
      'Iallgather',
      [own, all],
      [own, own.length, type, all, own.length, this.typeOf(all), this.handles.world],
    );
  }

  send(array: Flat, to: number, tag: number): Request {
    return this.start('Isend', [array], [array, array.length, this.typeOf(array), to, tag, this.handles.world]);
  }

  receive(array: Flat, from: number, tag: number): Request {
    return this.start('Irecv', [array], [array, array.length, this.typeOf(array), from, tag, this.handles.world]);
  }

  /** Whether a request is complete. MPI gets on with its work only while it is called. */
  isDone(request: Request): boolean {
    this.run('Test', request.slot, this.flag, this.abi.statusIgnore);
    if (this.flag[0] === 0) return false;
    this.pending.delete(request);
    return true;
  }

  finalize(): void {
    this.run('Finalize');
  }

  /** Ends all processes of the world, a moment after the call (see `LAST_WORDS_MS`). Does not return. */
  abort(code: number): void {
    pause(LAST_WORDS_MS);
    this.call.Abort(this.handles.world, code);
  }

  private start(call: CallName, arrays: readonly Flat[], parameters: readonly unknown[]): Request {
    const slot = new this.abi.requestArray(new ArrayBuffer(8));
    const request = { slot, arrays };
    this.pending.add(request);
    this.run(call, ...parameters, slot);
    return request;
  }

  private ask(call: 'Comm_rank' | 'Comm_size'): number {
    const answer = cell();
    this.run(call, this.handles.world, answer);
    return answer[0]!;
  }

  private run(call: CallName, ...parameters: unknown[]): void {
    const code = this.call[call](...parameters);
    if (code === 0) return;
    const text = new Uint8Array(this.abi.errorBytes);
    this.call.Error_string(code, text, cell());
    throw new MpiError(`MPI_${call}`, textOf(text));
  }

  private typeOf(array: Flat): Handle {
    if (array instanceof Float32Array) return this.handles.float32;
    if (array instanceof Float64Array) return this.handles.float64;
    return array instanceof Int32Array ? this.handles.int32 : this.handles.bytes;
  }
}

function versionOf(library: LibraryHandle, path: string): string {
  const text = new Uint8Array(VERSION_BYTES);
  try {
    library.func('MPI_Get_library_version', 'int', ['void *', 'void *'])(text, cell());
  } catch (error) {
    throw new MpiError('init', `${path} is no MPI library: ${message(error)}`);
  }
  return textOf(text);
}

/** The name decides on the standard interface: Open MPI's libmpi_abi depends on its libmpi, whose objects a look-up finds as well. */
function abiOf(library: LibraryHandle, path: string, version: string): AbiName {
  if (path.includes('mpi_abi')) return 'standard';
  try {
    library.symbol('ompi_mpi_comm_world');
    return 'openmpi';
  } catch {
    /* another one */
  }
  if (/MPICH|Intel\(R\) MPI|MVAPICH/iu.test(version)) return 'mpich';
  throw new MpiError('init', `${path} is an MPI library that tapegrad does not know: ${version.slice(0, 80)}`);
}
