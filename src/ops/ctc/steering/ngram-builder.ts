import type { Gram } from './arpa.js';

/**
 * A back-off model in arrays. States are contexts; the words that the model has after state s are the arcs [begin[s], begin[s + 1]), in the order of
 * their numbers. State 0 is nothing at all.
 */
export interface NgramTables {
  readonly order: number;
  readonly begin: Int32Array;
  /** Of arcs: the word, the logarithm of its probability after the state (NaN where the model has only longer n-grams), and the state after it. */
  readonly word: Int32Array;
  readonly logProb: Float64Array;
  readonly next: Int32Array;
  /** Of states: the logarithm of the back-off, and the longest shorter context that there is; -1 for state 0. */
  readonly backoff: Float64Array;
  readonly suffix: Int32Array;
}

/** A list of numbers that grows. */
class Numbers<T extends Int32Array | Float64Array> {
  length = 0;
  constructor(
    private values: T,
    private readonly make: (length: number) => T,
  ) {}

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = this.make(2 * this.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  at(i: number): number {
    return this.values[i]!;
  }

  set(i: number, value: number): void {
    this.values[i] = value;
  }

  take(): T {
    return this.values.slice(0, this.length) as T;
  }
}

const ints = (): Numbers<Int32Array> => new Numbers(new Int32Array(1024), (length) => new Int32Array(length));
const floats = (): Numbers<Float64Array> => new Numbers(new Float64Array(1024), (length) => new Float64Array(length));

/**
 * Collects n-grams, shorter ones first, into `NgramTables`. A context that is in no line itself (pruned models have such) becomes one with a back-off of
 * 1; the longest shorter context is looked for where the next shorter one is missing.
 */
export class NgramBuilder {
  // A trie: node 0 is empty, and a node is reached from its parent by its word.
  private readonly parent = ints();
  private readonly word = ints();
  private readonly logProb = floats();
  private readonly backoff = floats();
  private readonly depth = ints();
  private slots = new Int32Array(4096);

  constructor() {
    this.push(-1, -1, 0);
  }

  private push(parent: number, word: number, depth: number): number {
    this.parent.push(parent);
    this.word.push(word);
    this.logProb.push(NaN);
    this.backoff.push(0);
    this.depth.push(depth);
    return this.parent.length - 1;
  }

  /** The slot of a node's child: the child's number is in it, or 0. */
  private slotOf(parent: number, word: number): number {
    const last = this.slots.length - 1;
    let h = Math.imul(parent, 0x9e3779b1) ^ Math.imul(word + 1, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    for (let i = (h ^ (h >>> 13)) & last; ; i = (i + 1) & last) {
      const node = this.slots[i]!;
      if (node === 0 || (this.parent.at(node) === parent && this.word.at(node) === word)) return i;
    }
  }

  private childOf(parent: number, word: number): number {
    const slot = this.slotOf(parent, word);
    if (this.slots[slot] !== 0) return this.slots[slot]!;
    const node = this.push(parent, word, this.depth.at(parent) + 1);
    this.slots[slot] = node;
    if (2 * node > this.slots.length) this.rehash();
    return node;
  }

  private rehash(): void {
    this.slots = new Int32Array(4 * this.slots.length);
    for (let node = 1; node < this.parent.length; node++)
      this.slots[this.slotOf(this.parent.at(node), this.word.at(node))] = node;
  }

  /** Takes an n-gram. Returns false if it has been there before. */
  add({ words, logProb, backoff }: Gram): boolean {
    let node = 0;
    for (const word of words) node = this.childOf(node, word);
    if (!Number.isNaN(this.logProb.at(node))) return false;
    this.logProb.set(node, logProb);
    this.backoff.set(node, backoff);
    return true;
  }

  /** The model of all n-grams so far, whose longest have `order` words. */
  build(order: number): NgramTables {
    const { parent, word, depth, backoff, logProb } = this;
    const total = parent.length;
    // States are the nodes that something depends on: those with children or a back-off.
    const isState = new Uint8Array(total);
    isState[0] = 1;
    for (let node = 1; node < total; node++) {
      isState[parent.at(node)] = 1;
      if (backoff.at(node) !== 0) isState[node] = 1;
    }
    const state = new Int32Array(total).fill(-1);
    let states = 0;
    for (let node = 0; node < total; node++) if (isState[node]) state[node] = states++;
    // The longest proper suffix of each node that is a state, by way of its parent's; parents are shorter.
    const suffix = new Int32Array(total);
    for (const node of byDepth(depth.take(), order)) suffix[node] = this.suffixOf(node, suffix, isState);
    const arcs = sortedArcs(parent.take(), word.take(), state, states);
    return {
      order,
      begin: arcs.begin,
      word: Int32Array.from(arcs.nodes, (node) => word.at(node)),
      logProb: Float64Array.from(arcs.nodes, (node) => logProb.at(node)),
      next: Int32Array.from(arcs.nodes, (node) => state[isState[node] ? node : suffix[node]!]!),
      backoff: ofStates(new Float64Array(states), state, (node) => backoff.at(node)),
      suffix: ofStates(new Int32Array(states), state, (node) => (node === 0 ? -1 : state[suffix[node]!]!)),
    };
  }

  private suffixOf(node: number, suffix: Int32Array, isState: Uint8Array): number {
    if (this.depth.at(node) < 2) return 0;
    const word = this.word.at(node);
    for (let at = this.parent.at(node); at !== 0;) {
      at = suffix[at]!;
      const child = this.slots[this.slotOf(at, word)]!;
      // A child that is no state has a suffix that is one, and is as long as can be.
      if (child !== 0) return isState[child] ? child : suffix[child]!;
    }
    return 0;
  }
}

/** All nodes but the root, the shorter ones first. */
function byDepth(depth: Int32Array, order: number): Int32Array {
  const starts = new Int32Array(order + 2);
  for (let node = 1; node < depth.length; node++) starts[depth[node]! + 1]!++;
  for (let d = 1; d < starts.length; d++) starts[d]! += starts[d - 1]!;
  const nodes = new Int32Array(depth.length - 1);
  for (let node = 1; node < depth.length; node++) nodes[starts[depth[node]!]!++] = node;
  return nodes;
}

/** The nodes as arcs of their parents' states, by state and then by word. */
function sortedArcs(
  parent: Int32Array,
  word: Int32Array,
  state: Int32Array,
  states: number,
): { begin: Int32Array; nodes: Int32Array } {
  const begin = new Int32Array(states + 1);
  for (let node = 1; node < parent.length; node++) begin[state[parent[node]!]! + 1]!++;
  for (let s = 0; s < states; s++) begin[s + 1]! += begin[s]!;
  const nodes = new Int32Array(parent.length - 1);
  const at = begin.slice();
  for (let node = 1; node < parent.length; node++) nodes[at[state[parent[node]!]!]!++] = node;
  for (let s = 0; s < states; s++) nodes.subarray(begin[s], begin[s + 1]).sort((a, b) => word[a]! - word[b]!);
  return { begin, nodes };
}

function ofStates<T extends Int32Array | Float64Array>(values: T, state: Int32Array, of: (node: number) => number): T {
  state.forEach((s, node) => {
    if (s >= 0) values[s] = of(node);
  });
  return values;
}
