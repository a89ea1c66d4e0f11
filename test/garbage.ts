/** For tests of what memory holds: garbage is collected when they say so, not when V8 does. */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Collects all garbage. The arrays in it are given back by another thread, which a second collection waits for. */
export function collectGarbage(): void {
  collect();
  collect();
}

/** The same, and lets those act who want to know what has been collected; nothing of this turn of the event loop stays alive. */
export async function settled(): Promise<void> {
  await setImmediate();
  collectGarbage();
  for (let i = 0; i < 10; i++) await setImmediate();
}

/** Bytes of V8's heap and of arrays outside of it, without garbage. */
export function heldBytes(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
