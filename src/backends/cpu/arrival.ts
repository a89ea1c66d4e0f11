/** Contents that come from another device, later: launches that need them run when they are there. */
import type { Dispatch } from '../kernel.js';
import { hostArray } from '../host-array.js';
import type { Backend, DType, TypedArray } from '../backend.js';
import { CpuBuffer } from './buffer.js';

/** What has not come yet, for `sync()`. */
const expected = new Set<Promise<void>>();

/** Settles when everything has come, and what waited for it has run. */
export async function allArrived(): Promise<void> {
  while (expected.size > 0) await Promise.all(expected);
}

/** Marks a buffer in ordinary memory as arriving until `work` is done; where it fails, for good. */
function expectUntil(buffer: CpuBuffer, work: Promise<void>): void {
  const arrival = work.then(() => {
    buffer.arrival = null;
  });
  buffer.arrival = arrival;
  expected.add(arrival);
  const done = (): void => {
    expected.delete(arrival);
  };
  arrival.then(done, done);
}

/** A buffer for contents that are on their way. */
export function receive(backend: Backend, dtype: DType, length: number, data: Promise<TypedArray>): CpuBuffer {
  const array = hostArray(dtype, length);
  const buffer = new CpuBuffer(backend, dtype, length, array);
  expectUntil(
    buffer,
    data.then((values) => {
      array.set(values);
    }),
  );
  return buffer;
}

/** A copy in ordinary memory, of contents that may be on their way. Other launches may wait for them too, so they stay as they are. */
export function receiveCopy({ backend, dtype, length, array, arrival }: CpuBuffer): CpuBuffer {
  const data = (arrival ?? Promise.resolve()).then(() => array!.slice());
  return receive(backend, dtype, length, data);
}

/**
 * Runs a launch when its inputs are there. By then the arena may have been recycled: what lies in it is copied now, and the outputs move to
 * ordinary memory.
 */
export function runLater(launch: Dispatch, run: (launch: Dispatch) => void): void {
  const inputs = (launch.inputs as readonly CpuBuffer[]).map((buffer) =>
    buffer.arrival || buffer.array ? buffer : new CpuBuffer(buffer.backend, buffer.dtype, buffer.length, buffer.copy()),
  );
  const outputs = launch.outputs as readonly CpuBuffer[];
  for (const output of outputs) output.arena?.moveOut(output);
  // The outputs themselves cannot be looked at before they are there; the kernel writes through others to the same arrays.
  const written = outputs.map(({ backend, dtype, length, array }) => new CpuBuffer(backend, dtype, length, array));
  const arrivals = [...inputs, ...outputs].map(({ arrival }) => arrival ?? Promise.resolve());
  const work = Promise.all(arrivals).then(() => {
    run({ ...launch, inputs, outputs: written, lazy: false });
  });
  for (const output of outputs) expectUntil(output, work);
}
