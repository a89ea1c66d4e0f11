import type { Backend, Buffer, DType, MemoryInfo, ReadUse, Scope, TypedArray } from '../backend.js';
import type { Dispatch } from '../kernel.js';
import { hostArray, ownArray } from '../host-array.js';
import { CpuBuffer, CpuScope } from './buffer.js';
import { CpuCall, scratchBytes } from './call.js';
import { heap } from './heap.js';
import { kernels } from './kernels/index.js';
import { beginCall, forbidKeeping, residentBytes } from './resident.js';

/** The default device: WebAssembly SIMD for float32, plain loops for everything else. */
class CpuBackend implements Backend {
  readonly name = 'cpu';
  readonly description = 'CPU (WebAssembly SIMD)';
  readonly isHost = true;
  private scopes = 0;

  supports(): boolean {
    return true;
  }

  openScope(): CpuScope {
    this.scopes++;
    return new CpuScope(this, () => this.scopes--);
  }

  allocate(dtype: DType, length: number, scope: Scope | null): CpuBuffer {
    if (scope && dtype === 'float32') return (scope as CpuScope).allocate(length);
    return new CpuBuffer(this, dtype, length, hostArray(dtype, length));
  }

  upload(dtype: DType, data: TypedArray): CpuBuffer {
    return new CpuBuffer(this, dtype, data.length, data);
  }

  read(buffer: Buffer): Promise<TypedArray> {
    return Promise.resolve((buffer as CpuBuffer).copy());
  }

  readSync(buffer: Buffer, use: ReadUse): TypedArray {
    const own = buffer as CpuBuffer;
    if (use === 'view') return own.view();
    if (use === 'copy' || !own.array) return own.copy();
    own.mirror = null;
    forbidKeeping(own);
    return (own.array = ownArray(own.array));
  }

  has({ kernel }: Dispatch): boolean {
    return kernel.elementwise !== undefined || kernels[kernel.name] !== undefined;
  }

  dispatch(launch: Dispatch, scope: Scope | null): void {
    for (const input of launch.inputs) (input as CpuBuffer).settle();
    const [output] = launch.outputs as readonly CpuBuffer[];
    if (launch.lazy && output && canWait(launch, scope))
      output.pending = () => {
        this.run(launch, output.scope);
      };
    else this.run(launch, scope as CpuScope | null);
  }

  private run(launch: Dispatch, scope: CpuScope | null): void {
    const kernel = launch.kernel.elementwise ? kernels.elementwise! : kernels[launch.kernel.name]!;
    const region = scope ?? new CpuScope(this, () => undefined);
    const call = new CpuCall(launch, region);
    beginCall();
    try {
      kernel(call);
      call.finish();
    } finally {
      call.close();
      if (!scope) region.close();
    }
  }

  memory(): MemoryInfo {
    return {
      reservedBytes: heap().reserved,
      usedBytes: heap().used - scratchBytes() - residentBytes(),
      scopes: this.scopes,
    };
  }
}

/** Whether the inputs will still be there when the output is read: they lie in the same scope, or in ordinary arrays. */
const canWait = ({ inputs, outputs }: Dispatch, scope: Scope | null): boolean =>
  scope !== null &&
  outputs.length === 1 &&
  [...inputs, ...outputs].every(
    (buffer) => (buffer as CpuBuffer).scope === scope || (buffer as CpuBuffer).array !== null,
  ) &&
  (outputs[0] as CpuBuffer).array === null;

export const cpu: Backend = new CpuBackend();
