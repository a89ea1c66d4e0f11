import type { Arena, Backend, Buffer, DType, MemoryInfo, ReadUse, TypedArray } from '../backend.js';
import type { Dispatch } from '../kernel.js';
import { functionOf, hasRegistered } from '../registry.js';
import { ownArray } from '../host-array.js';
import { allArrived, receive, receiveCopy, runLater } from './arrival.js';
import { CpuArena, CpuBuffer } from './buffer.js';
import { CpuCall, type CpuKernel, scratchBytes } from './call.js';
import { heap } from './heap.js';
import { kernels } from './kernels/index.js';
import { detach, forsake, Nursery } from './nursery.js';
import { beginCall, forbidKeeping, residentBytes } from './resident.js';
import { Shelf } from './shelf.js';
import { arrayForResult } from './transfer.js';

/** The default device: WebAssembly SIMD, and plain loops for element types that a kernel has no WebAssembly function for. */
class CpuBackend implements Backend {
  readonly name = 'cpu';
  readonly description = 'CPU (WebAssembly SIMD)';
  readonly isHost = true;
  readonly maxBufferBytes = Infinity;
  private arenas = 0;
  private readonly shelf = new Shelf(this);
  private readonly nursery = new Nursery(this, (launch, arena) => {
    this.run(launch, arena);
  });

  supports(): boolean {
    return true;
  }

  openArena(): CpuArena {
    this.arenas++;
    return new CpuArena(this, () => this.arenas--, this.shelf);
  }

  allocate(dtype: DType, length: number, arena: Arena | null): CpuBuffer {
    if (arena) return (arena as CpuArena).allocate(dtype, length);
    const waits = this.nursery.mayTake(dtype, length);
    return new CpuBuffer(this, dtype, length, waits ? null : arrayForResult(dtype, length));
  }

  /** Sees to it that the outputs of a launch have places of their own. */
  private place(launch: Dispatch, mayBeForgotten: boolean): void {
    for (const output of launch.outputs as readonly CpuBuffer[]) {
      if (!output.arena) output.settle();
      if (output.arena === this.nursery && mayBeForgotten && this.nursery.extend(launch)) continue;
      if (output.array || output.arena) detach(output);
      else if (mayBeForgotten && this.nursery.adopt(launch)) continue;
      else if (mayBeForgotten && this.shelf.takes(output.dtype, output.length)) this.shelf.adopt(output);
      else output.array = arrayForResult(output.dtype, output.length);
    }
  }

  discard(buffer: Buffer): void {
    const own = buffer as CpuBuffer;
    if (own.alive && own.arena) own.arena.discard(own);
    else if (!own.array) forsake(own);
  }

  renew(buffer: Buffer): Buffer {
    const own = buffer as CpuBuffer;
    own.settle();
    return own.arena ? own.arena.renew(own) : receiveCopy(own);
  }

  isRewritable(buffer: Buffer): boolean {
    const { arena } = buffer as CpuBuffer;
    return arena !== null && arena !== this.nursery;
  }

  bringNear(buffer: Buffer, arena: Arena): void {
    const own = buffer as CpuBuffer;
    own.settle();
    if (!own.arrival) (arena as CpuArena).addressOf(own);
  }

  keepNear(buffer: Buffer): void {
    (buffer as CpuBuffer).staysNear = true;
  }

  upload(dtype: DType, data: TypedArray): CpuBuffer {
    return new CpuBuffer(this, dtype, data.length, data);
  }

  receive(dtype: DType, length: number, data: Promise<TypedArray>): CpuBuffer {
    return receive(this, dtype, length, data);
  }

  async read(buffer: Buffer): Promise<TypedArray> {
    const own = buffer as CpuBuffer;
    while (own.arrival) await own.arrival;
    return own.copy();
  }

  readSync(buffer: Buffer, use: ReadUse): TypedArray {
    const own = buffer as CpuBuffer;
    if (!own.arrival) {
      if (!own.arena) own.settle();
      if (use !== 'copy' && (own.arena === this.shelf || own.arena === this.nursery)) own.arena.moveOut(own);
    }
    if (use === 'view') return own.view();
    if (use === 'copy' || !own.array || own.arrival) return own.copy();
    own.mirror = null;
    forbidKeeping(own);
    detach(own);
    return (own.array = ownArray(own.array));
  }

  has({ kernel }: Dispatch): boolean {
    return kernel.elementwise !== undefined || kernels[kernel.name] !== undefined || functionOf(kernel) !== undefined;
  }

  dispatch(launch: Dispatch, arena: Arena | null): void {
    const inputs = launch.inputs as readonly CpuBuffer[];
    for (const input of inputs) {
      if (input.arrival) return this.runLater(launch);
      input.settle();
    }
    const [output] = launch.outputs as readonly CpuBuffer[];
    if (output?.arrival) return this.runLater(launch); // to be added to
    if (launch.lazy && output && this.canWait(launch, arena))
      output.putOff(inputs, () => {
        this.run(launch, output.arena);
      });
    else this.run(launch, arena as CpuArena | null);
  }

  /** Whether the inputs will still be there when the output is read: they lie in the same arena, on the shelf, or in ordinary arrays. */
  private canWait({ inputs, outputs }: Dispatch, arena: Arena | null): boolean {
    if (arena === null || outputs.length !== 1) return false;
    const [output] = outputs as readonly CpuBuffer[];
    const lasts = ({ arena: own, array }: CpuBuffer): boolean => own === arena || own === this.shelf || array !== null;
    return (inputs as readonly CpuBuffer[]).every(lasts) && output!.arena === arena;
  }

  sync(): Promise<void> {
    return allArrived();
  }

  private runLater(launch: Dispatch): void {
    this.place(launch, false);
    runLater(launch, (later) => {
      this.run(later, null);
    });
  }

  private run(launch: Dispatch, arena: CpuArena | null): void {
    const kernel = kernelOf(launch);
    if (!arena) this.place(launch, true);
    const own = arena ?? new CpuArena(this, () => undefined);
    const call = new CpuCall(launch, own);
    beginCall();
    try {
      kernel(call);
      call.finish();
    } finally {
      call.close();
      if (!arena) {
        own.close();
        this.nursery.tidy();
      }
    }
  }

  memory(): MemoryInfo {
    return {
      reservedBytes: heap().reserved,
      usedBytes: heap().used - scratchBytes() - residentBytes(),
      peakBytes: heap().peak,
      scopes: this.arenas,
    };
  }

  resetPeak(): void {
    heap().peak = heap().used;
  }
}

/** What answers a launch. A registered kernel is its declaration's own; built-in ones go by name, which is quicker. */
function kernelOf({ kernel }: Dispatch): CpuKernel {
  if (kernel.elementwise) return kernels.elementwise!;
  const own = hasRegistered() ? functionOf(kernel) : undefined;
  if (!own) return kernels[kernel.name]!;
  return ({ inputs, outputs, params }) => {
    const views = [inputs, outputs].map((buffers) => buffers.map((buffer) => buffer.view())) as [
      TypedArray[],
      TypedArray[],
    ];
    own({ inputs: views[0], outputs: views[1], params });
  };
}

export const cpu: Backend = new CpuBackend();
