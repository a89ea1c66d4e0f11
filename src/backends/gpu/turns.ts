/**
 * Work in its order, where some of it waits for contents from another device: what comes behind them takes its turn when they are there. Nothing waits for what
 * comes later, so contents may depend on work before them.
 */
export class Turns {
  private last: Promise<unknown> | null = null;

  /** Whether whatever is next has its turn at once. */
  get areFree(): boolean {
    return this.last === null;
  }

  /** Runs when everything before has had its turn. If that takes a promise, the next one's turn comes when it has settled. */
  next<T>(run: () => T | Promise<T>): Promise<T> {
    const before = this.last;
    const turn = (async () => {
      await before;
      return run();
    })();
    const passed = turn
      .catch(() => undefined)
      .then(() => {
        if (this.last === passed) this.last = null;
      });
    this.last = passed;
    return turn;
  }

  /** Settles when everything until now has had its turn. */
  async passed(): Promise<void> {
    await this.last;
  }
}
