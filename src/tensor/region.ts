import type { Backend, Buffer, Scope } from '../backends/backend.js';

let regions = 0;

/**
 * The memory of a transform or of `scope(fn)`: one scope on each device that computes in it, opened when first needed. A region that
 * turns out to lie inside an older one (its values went into a computation of that one) hands its memory over on closing.
 */
export class Region {
  /** Regions are numbered by age: what two of them share must live as long as the older. */
  private readonly age = regions++;
  private readonly scopes: Scope[] = []; // seldom more than one
  private owner: Region | null = null;
  private isOpen = true;

  /** The scope on a device; after closing, that of the region that took the memory over, or none. */
  on(backend: Backend): Scope | null {
    if (!this.isOpen) return this.heir?.on(backend) ?? null;
    let found = this.scopeOf(backend);
    if (!found) this.scopes.push((found = backend.openScope()));
    return found;
  }

  private scopeOf(backend: Backend): Scope | undefined {
    return this.scopes.find((scope) => scope.backend === backend);
  }

  /** Of two regions that share values, the one that keeps them. */
  static oldest(a: Region, b: Region): Region {
    const [older, younger] = a.age < b.age ? [a, b] : [b, a];
    if (younger.owner !== older && younger !== older)
      younger.owner = younger.owner ? Region.oldest(younger.owner, older) : older;
    return older;
  }

  isYoungerThan(other: Region): boolean {
    return this.age > other.age;
  }

  /**
   * Moves a buffer into the region around this one, or, without one, into memory of its own; a buffer that is not the region's own is left as
   * it is.
   */
  release(buffer: Buffer, around: Region | null): void {
    if (!this.heir) this.scopeOf(buffer.backend)?.release(buffer, around?.on(buffer.backend) ?? null);
  }

  /** Recycles the memory, or hands it over. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const { heir } = this;
    for (const scope of this.scopes) {
      if (heir) scope.mergeInto(heir.on(scope.backend)!);
      else scope.close();
    }
    this.scopes.length = 0;
  }

  /** The nearest region around this one that is still open. */
  private get heir(): Region | null {
    let { owner } = this;
    while (owner && !owner.isOpen) ({ owner } = owner);
    return owner;
  }
}
