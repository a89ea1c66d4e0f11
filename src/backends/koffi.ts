/** koffi, the optional package through which native libraries are called: the one file that imports it, when somebody asks for such a library and not before. */
import type * as koffiModule from 'koffi';

export type { LibraryHandle } from 'koffi';

export type Koffi = (typeof koffiModule)['default'];

/** @param refuse makes the error of whoever asked, where koffi is missing. */
export async function importKoffi(refuse: (problem: string) => Error): Promise<Koffi> {
  try {
    const name = 'koffi' as string; // a variable: bundlers for browsers leave it alone
    return ((await import(name)) as typeof koffiModule).default;
  } catch (error) {
    throw refuse(
      `the optional package koffi is not installed (npm install koffi): ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
