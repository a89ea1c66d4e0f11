/** What a device finds out in the background: whether there is room for memory, and whether programs compile. */
export class Outcomes {
  private readonly asked = new WeakSet<Promise<void>>();
  private readonly unknown = new Set<Promise<void>>();
  private readonly failed = new WeakMap<Promise<void>, unknown>();
  private hasFailures = false;

  /** Whether somebody has taken note of it. */
  isAsked(ready: Promise<void>): boolean {
    return this.asked.has(ready);
  }

  /** Takes note of what is not yet known. */
  learn(ready: Promise<void>, onFailure: (error: unknown) => void): void {
    this.asked.add(ready);
    const known: Promise<void> = ready
      .catch((error: unknown) => {
        this.failed.set(ready, error);
        this.hasFailures = true;
        onFailure(error);
      })
      .finally(() => this.unknown.delete(known));
    this.unknown.add(known);
  }

  /** Throws what is known to have gone wrong. */
  check(ready: Promise<void> | undefined): void {
    if (this.hasFailures && ready && this.failed.has(ready)) throw this.failed.get(ready);
  }

  /** Settles when all is known that has been asked about until now. */
  async known(): Promise<void> {
    if (this.unknown.size > 0) await Promise.all(this.unknown);
  }
}
