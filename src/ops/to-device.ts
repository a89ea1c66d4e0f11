import { record } from '../autograd/op.js';
import type { Backend } from '../backends/backend.js';
import { DeviceError, DTypeError } from '../errors.js';
import { checkDevice } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';

/**
 * The tensor on another device. Between two devices the data passes through host memory, so the source must be readable at once: from a
 * device that is not, fetch it with `await x.data()` and make a tensor of that. The derivative travels the other way.
 * @throws {DTypeError} when the device has no such dtype.
 */
export function toDevice(x: Tensor, device: Backend): Tensor {
  checkDevice('to', device);
  if (device === x.device) return x;
  x.checkAlive('to');
  if (!device.supports(x.dtype)) throw new DTypeError('to', `device '${device.name}' has no ${x.dtype}; cast it first`);
  if (!x.device.readSync)
    throw new DeviceError('to', `device '${x.device.name}' cannot be read synchronously; write tensor(await x.data())`);
  const moved = new Tensor(device.upload(x.dtype, x.device.readSync(x.buffer, 'copy')), x.shape, null, 'to');
  if (!x.trace) return moved;
  return record({ name: 'to', infer: () => x, vjp: (g: Tensor) => [toDevice(g, x.device)] }, [x], null, [moved]);
}
