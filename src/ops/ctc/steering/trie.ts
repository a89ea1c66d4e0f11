/** A tree of sequences of labels. Node 0 is the root, and children have greater numbers than their parents. */
export class Trie {
  /** The node before each node, and the label in between; -1 for the root. */
  readonly parent: number[] = [-1];
  readonly label: number[] = [-1];
  private readonly children = new Map<number, number>();

  /** @param labels the labels that are added are below this. */
  constructor(readonly labels: number) {}

  get size(): number {
    return this.parent.length;
  }

  /** The node after a label, or -1. */
  child(node: number, label: number): number {
    return label < this.labels ? (this.children.get(node * this.labels + label) ?? -1) : -1;
  }

  /** Adds a sequence; returns its node. */
  add(labels: Iterable<number>): number {
    let node = 0;
    for (const label of labels) {
      let next = this.child(node, label);
      if (next < 0) {
        next = this.size;
        this.children.set(node * this.labels + label, next);
        this.parent.push(node);
        this.label.push(label);
      }
      node = next;
    }
    return node;
  }
}
