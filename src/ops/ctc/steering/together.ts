import { ValueError } from '../../../errors.js';
import { boundOf, checkSteering, finishOf, type Steering, stepOf } from './steering.js';

/** Numbers for states that have several parts. */
interface Packing {
  readonly pack: (parts: readonly number[]) => number;
  readonly unpack: (state: number) => readonly number[];
  readonly states?: number;
}

/** Whole numbers up to 2^53 are exact. */
const MOST = Number.MAX_SAFE_INTEGER;

/** By the numbers of states, where these are known and their product is not too large: the same in every process. */
function byProduct(sizes: readonly number[]): Packing | null {
  const states = sizes.reduce((product, size) => product * size, 1);
  if (!(states <= MOST)) return null;
  return {
    states,
    pack: (parts) =>
      parts.reduce((sum, part, i) => {
        if (!(Number.isInteger(part) && part >= 0 && part < sizes[i]!))
          throw new ValueError(
            'together',
            `steering ${i} is in state ${part}, and says that it has ${sizes[i]} states`,
          );
        return sum * sizes[i]! + part;
      }, 0),
    unpack: (state) => {
      const parts: number[] = [];
      for (let i = sizes.length - 1; i >= 0; i--) {
        const rest = Math.floor(state / sizes[i]!);
        parts[i] = state - rest * sizes[i]!;
        state = rest;
      }
      return parts;
    },
  };
}

/** In the order in which they come. */
function byOrder(): Packing {
  const known = new Map<string, number>();
  const parts: (readonly number[])[] = [];
  return {
    pack: (state) => {
      const key = state.join();
      let number = known.get(key);
      if (number === undefined) {
        number = parts.length;
        known.set(key, number);
        parts.push(state);
      }
      return number;
    },
    unpack: (state) => {
      const found = parts[state];
      if (found) return found;
      throw new ValueError(
        'together',
        `state ${state} is none that has been met here: a stream whose labels were taken goes on only with the steering that it had`,
      );
    },
  };
}

/**
 * Several steerings at once: their weights add up. Where all say how many states they have, so does this one; where not, it keeps a list of the
 * combinations that it has met: their numbers are of this object alone, so that a stream whose labels were taken goes on with no other one.
 *
 * ```ts
 * const steering = together(wordSteering(words, tokens, SPACE, { model }), hotwords(names, tokens, { boost: 2 }));
 * ```
 */
export function together(...all: readonly Steering[]): Steering {
  const op = 'together';
  if (all.length === 0) throw new ValueError(op, 'there is nothing to put together; give one steering or more');
  all.forEach((one, i) => {
    checkSteering(op, `steering ${i}`, one);
  });
  const sizes = all.map(({ states }) => states ?? Infinity);
  const { pack, unpack, states } = byProduct(sizes) ?? byOrder();
  return {
    start: pack(all.map(({ start }) => start)),
    ...(states === undefined ? {} : { states }),
    step: (state, label) => {
      let sum = 0;
      const next: number[] = [];
      for (const [i, part] of unpack(state).entries()) {
        const [weight, then] = stepOf(op, all[i]!, part, label);
        if (weight === -Infinity) return [weight, 0];
        sum += weight;
        next.push(then);
      }
      return [sum, pack(next)];
    },
    finish: (state) => unpack(state).reduce((sum, part, i) => sum + finishOf(op, all[i]!, part), 0),
    ...(all.every((one) => typeof one.bound === 'function')
      ? { bound: (label: number | null) => sumOf(all.map((one) => boundOf(op, one, label))) }
      : {}),
  };
}

/** A sum in which what is forbidden stays so, whatever else is unbounded. */
const sumOf = (bounds: readonly number[]): number =>
  bounds.includes(-Infinity) ? -Infinity : bounds.reduce((sum, bound) => sum + bound, 0);
