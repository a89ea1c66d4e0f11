import { record } from '../autograd/op.js';
import type { Backend } from '../backends/backend.js';
import { DTypeError } from '../errors.js';
import { checkDevice } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';

/**
 * The tensor on another device. Between two devices the data passes through host memory: at once where the source can be read at once; else
 * it follows when it has been read, what is launched on the result waits for it, and `await result.data()` does too. The derivative travels
 * the other way, in the same manner.
 * @throws {DeviceError} for what is no device.
 * @throws {DTypeError} when the device has no such dtype.
 */
export function toDevice(x: Tensor, device: Backend): Tensor {
  checkDevice('to', device);
  if (device === x.device) return x;
  checkDevice('to', device);
  x.checkAlive('to');
  if (!device.supports(x.dtype)) throw new DTypeError('to', `device '${device.name}' has no ${x.dtype}; cast it first`);
  const buffer =
    x.device.readSync && !x.buffer.isArriving
      ? device.upload(x.dtype, x.device.readSync(x.buffer, 'copy'))
      : device.receive(x.dtype, x.size, x.device.read(x.buffer));
  const moved = new Tensor(buffer, x.shape, null, 'to');
  if (!x.trace) return moved;
  return record({ name: 'to', infer: () => x, vjp: (g: Tensor) => [toDevice(g, x.device)] }, [x], null, [moved]);
}
