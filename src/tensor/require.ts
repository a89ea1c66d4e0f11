/**
 * Loads a package at once, in the middle of a synchronous call: one that is slow to load and seldom wanted. Bundlers that know `createRequire` when it is imported
 * would warn of a package that they cannot name. @throws where it cannot be found.
 */
export const requirePackage = (name: string): unknown =>
  process.getBuiltinModule('node:module').createRequire(import.meta.url)(name);
