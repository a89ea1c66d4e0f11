/**
 * How tests start Node. A process that ends while V8 compiles one of its functions in the background may never end: the compiler waits for the main thread
 * to collect garbage, the main thread for the compiler (https://github.com/nodejs/node/issues/54918). On a busy machine two of twelve runs of a program with
 * large arrays hung so, with all their work done; of fourteen with these flags, none. Where nothing is compiled in the background there is nothing to wait for.
 */
export const NODE_FLAGS: readonly string[] = ['--no-concurrent-recompilation'];

/** The arguments of `process.execPath` for a Node with arguments. */
export const nodeArgs = (...args: readonly string[]): string[] => [...NODE_FLAGS, ...args];
