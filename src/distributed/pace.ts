/** A waiting rank polls once a turn of the event loop, and after a while once a millisecond. */
const EAGER_MS = 50;
/** How long it takes the slower way from then on where others want its core. */
const REST_MS = 1000;
/** A turn of the event loop in which there is nothing to do but poll is over long before. */
const LONG_TURN_MS = 1;

interface System {
  readonly now: () => number;
  /** How often the core was taken from this process for the sake of another; always 0 where the system does not count. */
  readonly preemptions: () => number;
}

const SYSTEM: System = {
  now: () => performance.now(),
  preemptions: () => process.resourceUsage().involuntaryContextSwitches,
};

/**
 * How often a rank polls while it waits. Without rest, answers are seen at once, but the core is taken from whoever else could use it: where cores are
 * short that is a rank that is waited for, and each of a call's messages then takes as long as the system lets a process run. Cores can be short of
 * whatever there is on the machine, so the rank goes by what happens to it.
 */
export class Pace {
  /** There are more ranks than cores. */
  isCrowded = false;
  private restsUntil = -Infinity;

  constructor(private readonly system = SYSTEM) {}

  /** For one wait: tells after each row of polls whether the next one may follow in the next turn of the event loop, or only after a rest. */
  begin(): () => boolean {
    const { now, preemptions } = this.system;
    const began = now();
    let last = began;
    let before: number | undefined;
    return () => {
      const at = now();
      const isLong = at - last > LONG_TURN_MS;
      last = at;
      if (this.isCrowded || at < this.restsUntil || at - began > EAGER_MS) return false;
      before ??= preemptions();
      // A turn is long as well where the event loop has something to do.
      if (!isLong || preemptions() === before) return true;
      this.restsUntil = at + REST_MS;
      return false;
    };
  }
}
