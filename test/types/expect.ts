/** Whether two types are the same, optional and readonly members included. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only for the type `true`. */
export function check<_T extends true>(): void {
  // The check is the call's type argument.
}
