/// <reference lib="esnext.disposable" preserve="true" />
import { currentRegion } from './device.js';
import { Tensor } from './tensor.js';

declare module './tensor.js' {
  interface Tensor extends Disposable {
    /**
     * Gives device memory back at once, with that of tensors that share it (`reshape`, `expandDims` and the like make such). Never needed: what nothing
     * refers to is collected. But a collector does not see how full a GPU is, so a loop that keeps tensors from step to step may want it there;
     * `using t = ...` calls it at the end of the block. Used afterwards, the tensor throws `RecycledError`.
     *
     * On the CPU it gives back large results that lie in the kernels' memory; ordinary memory is left to the collector. What a transform's function
     * computes, or traces, is left to the transform: there it does nothing.
     */
    dispose(): void;
  }
}

function dispose(this: Tensor): void {
  if (this.trace || currentRegion()?.isShared) return;
  if (!this.buffer.alive) return;
  this.device.discard(this.buffer);
  if (!this.buffer.alive) this.buffer.isDisposed = true;
}

const method = { value: dispose, writable: true, configurable: true };
Object.defineProperty(Tensor.prototype, 'dispose', method);
// Not all engines have the symbol yet; where it is missing there is no `using` either.
const symbol = (Symbol as { dispose?: symbol }).dispose;
if (symbol) Object.defineProperty(Tensor.prototype, symbol, method);
