import type { Arena, Backend, Buffer, DType, MemoryInfo, ReadUse, TypedArray } from '../backend.js';
import type { Dispatch } from '../kernel.js';
import { functionOf, hasRegistered } from '../registry.js';
import { hostArray, ownArray } from '../host-array.js';
import { allArrived, receive, receiveCopy, runLater } from './arrival.js';
import { CpuArena, CpuBuffer } from './buffer.js';
import { CpuCall, type CpuKernel, scratchBytes } from './call.js';
import { heap } from './heap.js';
import { kernels } from './kernels/index.js';
import { beginCall, forbidKeeping, residentBytes } from './resident.js';

/** The default device: WebAssembly SIMD for float32, plain loops for everything else. */
class CpuBackend implements Backend {
  readonly name = 'cpu';
  readonly description = 'CPU (WebAssembly SIMD)';
  readonly isHost = true;
  readonly maxBufferBytes = Infinity;
  private arenas = 0;

  supports(): boolean {
    return true;
  }

  openArena(): CpuArena {
    this.arenas++;
    return new CpuArena(this, () => this.arenas--);
  }

  allocate(dtype: DType, length: number, arena: Arena | null): CpuBuffer {
    if (arena) return (arena as CpuArena).allocate(dtype, length);
    return new CpuBuffer(this, dtype, length, hostArray(dtype, length));
  }

  discard(buffer: Buffer): void {
    const own = buffer as CpuBuffer;
    if (own.alive) own.arena?.discard(own);
  }

  renew(buffer: Buffer): Buffer {
    const own = buffer as CpuBuffer;
    return own.arena ? own.arena.renew(own) : receiveCopy(own);
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
    if (use === 'view') return own.view();
    if (use === 'copy' || !own.array || own.arrival) return own.copy();
    own.mirror = null;
    forbidKeeping(own);
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
    if (launch.lazy && output && canWait(launch, arena))
      output.putOff(inputs, () => {
        this.run(launch, output.arena);
      });
    else this.run(launch, arena as CpuArena | null);
  }

  sync(): Promise<void> {
    return allArrived();
  }

  private runLater(launch: Dispatch): void {
    runLater(launch, (later) => {
      this.run(later, null);
    });
  }

  private run(launch: Dispatch, arena: CpuArena | null): void {
    const kernel = kernelOf(launch);
    const own = arena ?? new CpuArena(this, () => undefined);
    const call = new CpuCall(launch, own);
    beginCall();
    try {
      kernel(call);
      call.finish();
    } finally {
      call.close();
      if (!arena) own.close();
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

/** Whether the inputs will still be there when the output is read: they lie in the same arena, or in ordinary arrays. */
const canWait = ({ inputs, outputs }: Dispatch, arena: Arena | null): boolean =>
  arena !== null &&
  outputs.length === 1 &&
  [...inputs, ...outputs].every(
    (buffer) => (buffer as CpuBuffer).arena === arena || (buffer as CpuBuffer).array !== null,
  ) &&
  (outputs[0] as CpuBuffer).array === null;

export const cpu: Backend = new CpuBackend();
