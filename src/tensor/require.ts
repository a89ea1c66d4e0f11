import { createRequire } from 'node:module';

/** Loads a package at once, in the middle of a synchronous call: one that is slow to load and seldom wanted. @throws where it cannot be found. */
export const requirePackage = (name: string): unknown => createRequire(import.meta.url)(name);
