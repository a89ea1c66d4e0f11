import type { Arena, Buffer, DType, TypedArray } from '../../backends/backend.js';
import type { Kernel, ParamType } from '../../backends/kernel.js';
import { OutOfMemoryError } from '../../errors.js';
import { hostBackend } from '../../tensor/device.js';

/** Beam decoders in the host's memory: what wasm/ctc/beam.ts calls a state, and the launches that work on it. */

export interface BeamSizes {
  readonly width: number;
  readonly classes: number;
  readonly blank: number;
  /** Labels that may stay open, 0 for any number. */
  readonly horizon: number;
}

/** What a beam holds, the likeliest prefix first. */
export interface BeamContents {
  readonly labels: readonly Int32Array[];
  /** Natural logarithms of their probabilities, as far as the beam has followed them. */
  readonly logProbs: readonly number[];
  /** The same of everything that fell out of the beam. */
  readonly lost: number;
}

const declare = (name: string, inputs: string[], outputs: string[], params: readonly string[]): Kernel => ({
  name,
  family: 'ctc/beam',
  inputs,
  outputs,
  params: Object.fromEntries(params.map((param): [string, ParamType] => [param, 'u32'])),
});

const KERNELS = {
  bytes: declare('ctcBeamBytes', [], ['bytes'], ['width', 'classes', 'room']),
  open: declare('ctcBeamOpen', [], ['states'], ['width', 'classes', 'blank', 'horizon', 'room']),
  move: declare('ctcBeamMove', ['state'], ['larger'], ['room']),
  advance: declare(
    'ctcBeam',
    ['scores', 'lengths'],
    ['status', 'states'],
    ['width', 'frameStride', 'sequenceStride', 'fresh'],
  ),
  read: declare('ctcBeamRead', ['state'], ['logProbs', 'lengths', 'labels'], ['count']),
  shared: declare('ctcBeamShared', ['state'], ['count'], []),
  cut: declare('ctcBeamCut', ['state'], ['labels'], []),
  undo: declare('ctcBeamUndo', [], ['states'], []),
  savedBytes: declare('ctcBeamSavedBytes', ['state'], ['bytes'], []),
  save: declare('ctcBeamSave', ['state'], ['saved'], []),
  savedNodes: declare('ctcBeamSavedNodes', ['saved'], ['nodes'], []),
  restore: declare('ctcBeamRestore', ['saved'], ['sound', 'state'], []),
};

const STATUS = { done: 0, full: 1, bad: 2 } as const;

/** The place of a score that is NaN or Infinity. */
export interface BadFrame {
  readonly sequence: number;
  readonly frame: number;
}

function launch(
  op: string,
  kernel: Kernel,
  inputs: readonly Buffer[],
  outputs: readonly Buffer[],
  params: Readonly<Record<string, number>>,
): void {
  hostBackend().dispatch({ kernel, inputs, outputs, params, grid: outputs.length }, null, op);
}

const array = (dtype: DType, length: number): Buffer => hostBackend().allocate(dtype, length, null);
const view = (buffer: Buffer): TypedArray => hostBackend().readSync!(buffer, 'view');

/** Nodes that a state has room for at first: it grows with what is read. */
const firstRoom = (width: number): number => 16 * width + 1024;

interface HeldState {
  readonly arena: Arena;
  readonly buffer: Buffer;
  readonly room: number;
}

/** Decoders of a batch, one state a sequence. */
export class BeamStates {
  private readonly held: HeldState[] = [];

  constructor(
    private readonly op: string,
    readonly sizes: BeamSizes,
    count: number,
  ) {
    const room = firstRoom(sizes.width);
    try {
      for (let n = 0; n < count; n++) this.held.push(this.open(room));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  private open(room: number): HeldState {
    const made = this.make(room);
    launch(this.op, KERNELS.open, [], [made.buffer], { ...this.sizes, room });
    return made;
  }

  private make(room: number): HeldState {
    const bytes = array('float64', 1);
    const { width, classes } = this.sizes;
    launch(this.op, KERNELS.bytes, [], [bytes], { width, classes, room });
    const words = Math.ceil(view(bytes)[0]! / 4);
    if (words > 2 ** 29) throw new OutOfMemoryError(this.op, `a beam of width ${width} needs ${words * 4} bytes`);
    const arena = hostBackend().openArena();
    try {
      return { arena, buffer: hostBackend().allocate('int32', words, arena), room };
    } catch (error) {
      arena.close();
      throw error;
    }
  }

  /**
   * Reads a piece of each sequence, float32. Returns the first bad frame, if there is one. A state that meets one, or for which there is no memory, is
   * left as it was before the piece.
   */
  advance(scores: Buffer, lengths: Int32Array, frameStride: number, sequenceStride: number): BadFrame | null {
    let isDone = false;
    try {
      const bad = this.advanceAll(scores, lengths, frameStride, sequenceStride);
      isDone = bad === null;
      return bad;
    } finally {
      if (!isDone) this.undo();
    }
  }

  private advanceAll(
    scores: Buffer,
    lengths: Int32Array,
    frameStride: number,
    sequenceStride: number,
  ): BadFrame | null {
    const status = array('int32', 2 * this.held.length);
    const inputs = [scores, hostBackend().upload('int32', lengths)];
    for (let fresh = 1; ; fresh = 0) {
      const buffers = this.held.map(({ buffer }) => buffer);
      launch(this.op, KERNELS.advance, inputs, [status, ...buffers], {
        width: this.sizes.width,
        frameStride,
        sequenceStride,
        fresh,
      });
      const values = view(status);
      let full = false;
      for (let n = 0; n < this.held.length; n++) {
        if (values[2 * n] === STATUS.bad) return { sequence: n, frame: values[2 * n + 1]! };
        if (values[2 * n] !== STATUS.full) continue;
        full = true;
        this.grow(n);
      }
      if (!full) return null;
    }
  }

  private undo(): void {
    const buffers = this.held.map(({ buffer }) => buffer);
    launch(this.op, KERNELS.undo, [], buffers, {});
  }

  private grow(n: number): void {
    const old = this.held[n]!;
    const made = this.make(old.room * 4);
    launch(this.op, KERNELS.move, [old.buffer], [made.buffer], { room: made.room });
    this.held[n] = made;
    old.arena.close();
  }

  /** The `count` likeliest prefixes of a sequence; fewer if the beam holds fewer. */
  read(n: number, count: number): BeamContents {
    const { buffer } = this.held[n]!;
    const [scores, lengths] = [array('float64', count + 1), array('int32', count)];
    launch(this.op, KERNELS.read, [buffer], [scores, lengths, array('int32', 0)], { count });
    const sizes = [...view(lengths)].filter((length) => length >= 0);
    const total = sizes.reduce((a, b) => a + b, 0);
    const labels = array('int32', total);
    if (total > 0) launch(this.op, KERNELS.read, [buffer], [scores, lengths, labels], { count });
    let at = 0;
    return {
      labels: sizes.map((length) => (view(labels) as Int32Array).slice(at, (at += length))),
      logProbs: [...view(scores).subarray(0, sizes.length)],
      lost: view(scores)[count]!,
    };
  }

  /** Takes the labels that all prefixes begin with out of the state. */
  cut(n: number): Int32Array {
    const { buffer } = this.held[n]!;
    const count = array('int32', 1);
    launch(this.op, KERNELS.shared, [buffer], [count], {});
    const labels = array('int32', view(count)[0]!);
    if (labels.length > 0) launch(this.op, KERNELS.cut, [buffer], [labels], {});
    return view(labels) as Int32Array;
  }

  /** A state in words, for `restore`. */
  save(n: number): Int32Array {
    const { buffer } = this.held[n]!;
    const bytes = array('float64', 1);
    launch(this.op, KERNELS.savedBytes, [buffer], [bytes], {});
    const saved = array('int32', view(bytes)[0]! / 4);
    launch(this.op, KERNELS.save, [buffer], [saved], {});
    return view(saved) as Int32Array;
  }

  /** Goes on from a saved state. Returns false, with nothing changed, if it is none of this size. */
  restore(n: number, words: Int32Array): boolean {
    const saved = hostBackend().upload('int32', words);
    const answer = array('int32', 1);
    launch(this.op, KERNELS.savedNodes, [saved], [answer], {});
    const nodes = view(answer)[0]!;
    if (nodes < 0) return false;
    const { width } = this.sizes;
    let room = firstRoom(width);
    while (2 * (nodes + width) > room) room *= 4;
    const made = this.open(room);
    launch(this.op, KERNELS.restore, [saved], [answer, made.buffer], {});
    const isSound = view(answer)[0] === 1;
    const unused = isSound ? this.held[n]! : made;
    if (isSound) this.held[n] = made;
    unused.arena.close();
    return isSound;
  }

  /** The arenas that hold the states, for whoever has to close them. */
  get arenas(): readonly { arena: Arena }[] {
    return this.held;
  }

  close(): void {
    for (const { arena } of this.held) arena.close();
  }
}
