import { random } from 'tapegrad';
import { type BeamReport, fuzz as fuzzBeams, makeEmissions } from './beam-fuzz.js';
import { fuzzSteered, type SteeringReport } from './steering-fuzz.js';

/** `npm run fuzz -- beam`: as many problems without a steering as with one. */
export function fuzz(
  cases: number,
  seed: number,
  progress?: (done: number) => void,
): BeamReport & { readonly steered: SteeringReport } {
  const half = Math.ceil(cases / 2);
  const plain = fuzzBeams(half, seed, progress);
  const steered = fuzzSteered(cases - half, random(seed + 1), makeEmissions, (done) => progress?.(half + done));
  return { ...plain, falseAccepts: plain.falseAccepts + steered.falseAccepts, steered };
}
