import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  cast,
  concat,
  cumsum,
  type DType,
  flip,
  grad,
  maximum,
  optim,
  pad,
  random,
  RecycledError,
  scatterAdd,
  scope,
  stack,
  tensor,
  type Tensor,
  where,
} from 'tapegrad';
import type { TypedArray } from '../../src/backends/backend.js';
import { fromTypedArray } from '../../src/tensor/create.js';

/*
 * Random programs outside of scopes: results of every element type, of sizes around those at which they go elsewhere (small, young, on the shelf), which are
 * read, kept, given away, written to and collected in between. Each op's result is held against the same op in a scope, of arrays that nothing else knows.
 */

const DTYPES = ['float32', 'float64', 'int32', 'bool', 'float16', 'bfloat16'] as const;
const isFloat = (dtype: DType): boolean => dtype !== 'int32' && dtype !== 'bool';
const WIDTH = 64;
const ROWS = [100, 257, 1024, 2048, 4100, 8192]; // up to 4 MiB of float64

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

type Op = (x: Tensor, y: Tensor) => Tensor;

/** Ops that keep [rows, WIDTH] and whose numbers stay small; those of `y` too are given one of x's dtype. */
const OPS: Readonly<Record<string, Op>> = {
  add: (x, y) => x.add(y).mul(0.5),
  sub: (x, y) => x.sub(y),
  maximum: (x, y) => maximum(x, y),
  neg: (x) => x.neg(),
  relu: (x) => x.mul(0.25).relu(),
  less: (x, y) => x.less(y),
  where: (x, y) => where(x.greater(0), y, x),
  reshape: (x) => x.reshape([WIDTH, x.shape[0]!]).reshape(x.shape),
  transpose: (x) => x.transpose().reshape(x.shape),
  flip: (x) => flip(x, [0]),
  roll: (x) => concat([x.slice([7]), x.slice([0, 7])]),
  halves: (x, y) => concat([x.slice([], [0, WIDTH / 2]), y.slice([], [WIDTH / 2])], 1),
  stack: (x, y) => stack([x, y], 1).slice([], 1),
  shift: (x) =>
    pad(x.slice([3], [0, WIDTH - 1]), [
      [3, 0],
      [1, 0],
    ]),
  softmax: (x) => (isFloat(x.dtype) ? x.softmax(1) : x.abs()),
  cumsum: (x) => cumsum(x, 1).mul(0.0625),
  row: (x, y) => x.sub(y.slice(0)),
  sorted: (x) => x.sort(0),
  scatter: (x, y) => {
    const columns = Int32Array.from({ length: x.size }, (_, i) => (i * 5) % WIDTH);
    return scatterAdd(x, tensor(columns, { shape: x.shape }), y, 1).mul(0.5);
  },
  gradient: (x, y) => (isFloat(x.dtype) ? grad((t: Tensor) => t.mul(y).tanh().sum())(x) : x.abs()),
  scope: (x, y) => scope(() => x.mul(0.5).sub(y.mul(0.25))),
};

interface Value {
  readonly t: Tensor;
  /** What it holds, in an array that no tensor knows. */
  readonly data: TypedArray;
}

export interface HeapReport {
  readonly programs: number;
  readonly steps: number;
  readonly reads: number;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: TypedArray): Buffer => Buffer.from(buffer, byteOffset, byteLength);

class Program {
  live: Value[] = [];
  steps = 0;
  reads = 0;
  private readonly rows: number;

  constructor(private readonly rng: ReturnType<typeof random>) {
    this.rows = this.pick(ROWS);
  }

  private pick<T>(list: readonly T[]): T {
    return list[this.rng.integer(0, list.length)]!;
  }

  private fresh(dtype: DType): void {
    const made = this.rng.normal([this.rows, WIDTH]).mul(3);
    const raw = cast(made, dtype).rawDataSync('copy');
    this.keep(fromTypedArray(raw.slice(), [this.rows, WIDTH], dtype), raw);
  }

  private keep(t: Tensor, data: TypedArray): void {
    this.live.push({ t, data });
  }

  /** The same op where nothing is young, forgotten or shared. */
  private expected(op: Op, x: Value, y: Value): TypedArray {
    const [a, b] = [x, y].map(({ t, data }) => fromTypedArray(data.slice(), t.shape, t.dtype));
    return scope(() => op(a!, x === y ? a! : b!)).rawDataSync('copy');
  }

  private check(name: string, { t, data }: Value, found: TypedArray): void {
    this.reads++;
    if (!bytesOf(found).equals(bytesOf(data)))
      throw new Error(`${name} of ${t.dtype} [${t.shape.join(', ')}]: other bits than in a scope`);
  }

  /** Whoever shares the memory of a tensor goes with it. */
  private drop({ t }: Value): void {
    this.live = this.live.filter((other) => other.t.buffer !== t.buffer);
  }

  async step(): Promise<void> {
    this.steps++;
    while (this.live.length < 3) this.fresh(this.pick(DTYPES));
    const x = this.pick(this.live);
    const alike = this.live.filter(({ t }) => t.dtype === x.t.dtype);
    const y = this.pick(alike);
    const draw = this.rng.integer(0, 20);
    if (draw < 12) this.apply(this.pick(Object.entries(OPS)), x, y);
    else if (draw < 13) {
      const dtype = this.pick(DTYPES);
      this.apply(['cast', (t) => t.cast(dtype)], x, y);
    } else if (draw < 14) await this.later(x, y);
    else if (draw < 16) await this.look(x);
    else if (draw < 17) this.write(x);
    else if (draw < 18) this.giveAway(x, y);
    else if (draw < 19) this.dispose(x);
    else await this.turn();
    if (this.live.length > 14) this.live = this.live.filter(() => this.rng.integer(0, 2) === 0);
  }

  private apply([name, op]: readonly [string, Op], x: Value, y: Value): void {
    const data = this.expected(op, x, y);
    const made = { t: op(x.t, y.t), data };
    this.live.push(made);
    if (this.rng.integer(0, 6) === 0) this.check(name, made, made.t.rawDataSync('copy'));
  }

  private async later(x: Value, y: Value): Promise<void> {
    const [name, op] = this.pick(Object.entries(OPS));
    const data = this.expected((a, b) => op(a, b).add(0), x, y);
    const made = await scope(async () => {
      const half = op(x.t, y.t);
      await setImmediate();
      return half.add(0);
    });
    this.check(`${name} in an asynchronous scope`, { t: made, data }, made.rawDataSync('view'));
    this.keep(made, data);
  }

  private async look(x: Value): Promise<void> {
    switch (this.rng.integer(0, 4)) {
      case 0:
        return this.check('rawDataSync()', x, x.t.rawDataSync('copy'));
      case 1:
        return this.check('rawDataSync() to look', x, x.t.rawDataSync('view'));
      case 2:
        return this.check('rawData()', x, await x.t.rawData());
      default:
        this.check('a row', x, concat([x.t.slice([0, 1]), x.t.slice([1])]).rawDataSync('copy'));
    }
  }

  /** The user gets the array, and writes to it: what has been made of it stays as it was. */
  private write(x: Value): void {
    const { data } = x.t.ndarray();
    this.check('ndarray()', x, x.t.rawDataSync('view'));
    if (x.t.dtype === 'float16' || x.t.dtype === 'bfloat16') return; // those are copies, of float32
    const value = this.rng.integer(0, 2);
    data.fill(value, 3, 1000);
    for (const other of this.live)
      if (other.t.buffer === x.t.buffer && other.t.dtype === x.t.dtype) other.data.fill(value, 3, 1000);
  }

  /** An optimizer may write over its parameters, and over nothing else. */
  private giveAway(x: Value, y: Value): void {
    if (x.t.dtype !== 'float32' && x.t.dtype !== 'float64') return;
    if (x.t.buffer === y.t.buffer) return;
    const optimizer = optim.sgd({ learningRate: 0.25 });
    const update = (params: Tensor, gradients: Tensor, donate: boolean): Tensor =>
      optimizer.update(params, gradients, optimizer.init(params), { donate }).params;
    const data = this.expected((a, b) => update(a, b, false), x, y);
    const t = update(x.t, y.t, true);
    this.drop(x);
    this.keep(t, data);
    this.dead(x);
  }

  private dispose(x: Value): void {
    x.t.dispose();
    this.drop(x);
    // An ordinary array is the collector's all the same, and stays to be read.
  }

  private dead({ t }: Value): void {
    try {
      t.neg();
    } catch (error) {
      if (error instanceof RecycledError) return;
      throw error;
    }
    throw new Error('what was given away is still there');
  }

  private async turn(): Promise<void> {
    await setImmediate();
    if (this.rng.integer(0, 3) === 0) collect();
    await setImmediate();
  }

  end(): void {
    for (const value of this.live) this.check('what was kept', value, value.t.rawDataSync('copy'));
  }
}

/** `npm run fuzz -- heap`: that many programs of forty steps each. @throws where one tensor is not what it must be */
export async function fuzz(programs: number, seed: number, progress?: (done: number) => void): Promise<HeapReport> {
  const rng = random(seed);
  let [steps, reads] = [0, 0];
  for (let i = 0; i < programs; i++) {
    const program = new Program(rng);
    for (let step = 0; step < 40; step++) await program.step();
    program.end();
    steps += program.steps;
    reads += program.reads;
    progress?.(i + 1);
  }
  return { programs, steps, reads };
}
