import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import {
  type Call,
  callDigest,
  differenceOf,
  digestOf,
  EXCERPT_BYTES,
  excerptOf,
  firstDifference,
  ranksText,
} from './agreement.js';
import { MismatchError, TimeoutError } from './errors.js';
import { pause, sayLast } from './lastwords.js';
import type { Flat, Mpi, Reduction, Request } from './mpi.js';
import { Pace } from './pace.js';

/** Polls in a row. MPI gets on with its work only while it is polled, and short calls are over within one row. */
const POLLS = 50;

/** How long a process that ends without close() waits for the others to end as well. */
const PATIENCE_AT_EXIT_MS = 10_000;

/** What messages between two ranks are about. */
const TAGS = { fromSender: 1, fromReceiver: 2, data: 3, present: 4 };

/** A call of all ranks, or between this one and another. */
export type Whom = 'all' | Pair;
interface Pair {
  readonly peer: number;
  readonly kind: 'send' | 'receive';
}

const laneOf = (whom: Whom): string => (whom === 'all' ? whom : `${whom.kind} ${whom.peer}`);

/** The least and the largest of the numbers that calls bring along. */
export interface Range {
  readonly least: number;
  readonly most: number;
}

/** What a rank has prepared for a call. */
export interface Part<T> {
  readonly call: Call;
  readonly run: (numbers: Range) => Promise<T>;
}

type Steps<T> = Generator<Request, T, void>;

const NO_NUMBERS: Range = { least: 0, most: 0 };
const CLOSE: Call = { head: 'close', lines: [] };

/** MPI with errors where MPI has deadlocks and garbage: calls that do not match, ranks that do not come, processes that leave. */
export class Link {
  /** Milliseconds: waiting for slower ranks, and moving data. */
  readonly spent = { waiting: 0, moving: 0 };
  bytes = 0;
  readonly pace = new Pace();
  private readonly lanes = new Map<string, Promise<unknown>>();
  private failure: Error | null = null;
  private isClosed = false;

  constructor(
    readonly mpi: Mpi,
    private readonly timeoutMs: number,
  ) {
    // Node shows an exception after the exit handlers, and then there is no process any more.
    let uncaught: unknown;
    process.on('uncaughtExceptionMonitor', (error) => {
      uncaught = error;
    });
    process.on('exit', (code) => {
      if (!this.isClosed) this.leave(code, uncaught);
    });
  }

  /**
   * A call that others take part in: waits for them, sees that they are about to do the same, and does it. Calls run one after another, in the order
   * in which they were made. Where this rank cannot prepare its part, it rejects at once and tells the others, who would otherwise wait for it, or
   * take its next call for this one.
   * @throws {MismatchError} on all who take part, if their calls differ, or have failed on one of them.
   */
  async meet<T>(op: string, whom: Whom, preparing: Promise<Part<T>>): Promise<T> {
    const result = this.inOrder(laneOf(whom), async () => {
      let part: Part<T>;
      try {
        part = await preparing;
      } catch (error) {
        const head = `a failed ${op}: ${error instanceof Error ? error.message : String(error)}`;
        await this.agree(op, whom, { head, lines: [] }).catch(() => undefined);
        throw error;
      }
      return part.run(await this.agree(op, whom, part.call));
    });
    result.catch(() => undefined); // if this fails as well, the first failure is enough
    await preparing;
    return result;
  }

  /** Reduces over the ranks, in place, in pieces of so many bytes. */
  async allreduce(array: Flat, reduction: Reduction, op: string, pieceBytes: number): Promise<void> {
    const began = performance.now();
    for (const piece of piecesOf(array, pieceBytes)) await this.finish(this.mpi.allreduce(piece, reduction), op);
    this.count(array.byteLength, began);
  }

  async broadcast(array: Flat, root: number, op: string, pieceBytes: number): Promise<void> {
    const began = performance.now();
    for (const piece of piecesOf(array, pieceBytes)) await this.finish(this.mpi.broadcast(piece, root), op);
    this.count(array.byteLength, began);
  }

  /** Every rank's array, of one length on all of them, in the order of ranks. */
  async allgather<A extends Flat>(own: A, op: string, pieceBytes: number): Promise<A[]> {
    const began = performance.now();
    const like = own.constructor as new (length: number) => A;
    const all = Array.from({ length: this.mpi.size }, () => new like(own.length));
    const step = Math.max(1, Math.floor(pieceBytes / own.BYTES_PER_ELEMENT));
    for (let at = 0; at < own.length; at += step) {
      const piece = own.subarray(at, at + step) as A;
      const gathered = new like(piece.length * this.mpi.size);
      await this.finish(this.mpi.allgather(piece, gathered), op);
      all.forEach((array, rank) => {
        array.set(gathered.subarray(rank * piece.length, (rank + 1) * piece.length), at);
      });
    }
    this.count(own.byteLength * this.mpi.size, began);
    return all;
  }

  /** Sends to a rank, or fills the array with what it sends. */
  async transfer(kind: 'send' | 'receive', array: Flat, peer: number, op: string, pieceBytes: number): Promise<void> {
    const began = performance.now();
    for (const piece of piecesOf(array, pieceBytes)) await this.finish(this.mpi[kind](piece, peer, TAGS.data), op);
    this.count(array.byteLength, began);
  }

  /** Leaves together with all ranks, once whatever is under way has ended. */
  async close(): Promise<void> {
    await Promise.all(this.lanes.values()); // they do not reject
    await this.inOrder('all', async () => {
      await this.agree('close', 'all', CLOSE);
      this.isClosed = true;
      this.mpi.finalize();
    });
  }

  abort(code: number): void {
    this.isClosed = true;
    this.mpi.abort(code);
  }

  /** Runs what the other side must meet in the same order one after another, in the order in which it was asked for. */
  private inOrder<T>(lane: string, body: () => Promise<T>): Promise<T> {
    const before = this.lanes.get(lane) ?? Promise.resolve();
    const run = async (): Promise<T> => {
      if (this.failure) throw this.failure;
      return body();
    };
    const result = before.then(run);
    this.lanes.set(
      lane,
      result.catch(() => undefined),
    );
    return result;
  }

  /** Returns when those who take part are here and about to do the same. */
  private async agree(op: string, whom: Whom, call: Call): Promise<Range> {
    const began = performance.now();
    const steps = whom === 'all' ? this.compare(call) : this.compareWith(whom, call);
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) await this.finish(step.value, op);
    this.spent.waiting += performance.now() - began;
    return step.value;
  }

  /** Compares calls of all ranks. Each request that is yielded is to be waited for before the next step. */
  private *compare(call: Call): Steps<Range> {
    const digest = callDigest(call);
    const { number = 0 } = call;
    const extremes = Float64Array.of(digest, -digest, number, -number); // the largest negative is minus the smallest
    yield this.mpi.allreduce(extremes, 'max');
    if (extremes[0] === -extremes[1]!) return { least: -extremes[3]!, most: extremes[2]! };
    const excerpt = encode(excerptOf(call, yield* this.findDifference(call)), EXCERPT_BYTES);
    const all = new Uint8Array(EXCERPT_BYTES * this.mpi.size);
    yield this.mpi.allgather(excerpt, all);
    const texts = Array.from({ length: this.mpi.size }, (_, r) =>
      decode(all.subarray(r * EXCERPT_BYTES, (r + 1) * EXCERPT_BYTES)),
    );
    throw new MismatchError('world', differenceOf(texts));
  }

  /** The first line that is not the same on all ranks; null if all are. */
  private *findDifference({ lines }: Call): Steps<number | null> {
    const most = Int32Array.of(lines.length);
    yield this.mpi.allreduce(most, 'max');
    if (most[0] === 0) return null;
    const absent = -1; // no digest
    const digests = Array.from({ length: most[0]! }, (_, i) => (i < lines.length ? digestOf(lines[i]!) : absent));
    const extremes = Float64Array.from(digests.flatMap((digest) => [digest, -digest]));
    yield this.mpi.allreduce(extremes, 'max');
    const at = digests.findIndex((_, i) => extremes[2 * i] !== -extremes[2 * i + 1]!);
    return at < 0 ? null : at;
  }

  /** Both sides send digests of their calls and, if these differ, the calls; each compares. Two ranks may send to each other at once. */
  private *compareWith({ peer, kind }: Pair, call: Call): Steps<Range> {
    const [own, other] = kind === 'send' ? [TAGS.fromSender, TAGS.fromReceiver] : [TAGS.fromReceiver, TAGS.fromSender];
    const { mpi } = this;
    function* swap<A extends Flat>(mine: A, theirs: A): Steps<A> {
      const requests = [mpi.receive(theirs, peer, other), mpi.send(mine, peer, own)];
      yield* requests;
      return theirs;
    }
    const digest = callDigest(call);
    const text = encode(JSON.stringify(call));
    const [theirDigest, bytes] = yield* swap(Float64Array.of(digest, text.length), new Float64Array(2));
    if (theirDigest === digest) return NO_NUMBERS;
    const theirs = JSON.parse(decode(yield* swap(text, new Uint8Array(bytes!)))) as Call;
    const at = firstDifference(call, theirs);
    const excerpts: string[] = []; // of two ranks only
    excerpts[mpi.rank] = excerptOf(call, at);
    excerpts[peer] = excerptOf(theirs, at);
    throw new MismatchError('world', differenceOf(excerpts));
  }

  private count(bytes: number, began: number): void {
    this.bytes += bytes;
    this.spent.moving += performance.now() - began;
  }

  /** Waits for a call without stopping the event loop. */
  private async finish(request: Request, op: string): Promise<void> {
    const began = performance.now();
    const isEager = this.pace.begin();
    for (;;) {
      for (let i = 0; i < POLLS; i++) if (this.mpi.isDone(request)) return;
      if (performance.now() - began > this.timeoutMs) throw await this.timeOut(op);
      await (isEager() ? nextTurn() : sleep(1));
    }
  }

  /** Those who wait make themselves known to each other; who is not heard of did not come. */
  private async timeOut(op: string): Promise<Error> {
    const { rank, size } = this.mpi;
    const others = Array.from({ length: size }, (_, r) => r).filter((r) => r !== rank);
    const heard = others.map((r) => ({ rank: r, request: this.mpi.receive(new Uint8Array(1), r, TAGS.present) }));
    for (const r of others) this.mpi.send(new Uint8Array(1), r, TAGS.present);
    const until = performance.now() + Math.min(30_000, Math.max(10_000, this.timeoutMs / 10));
    let missing = heard;
    while (missing.length > 0 && performance.now() < until) {
      await sleep(1);
      missing = missing.filter((peer) => !this.mpi.isDone(peer.request));
    }
    const who =
      missing.length > 0
        ? `nothing is heard of ${ranksText(missing.map((peer) => peer.rank))}`
        : 'all the others are waiting, too';
    this.failure = new TimeoutError(op, `rank ${rank} of ${size} has waited ${this.timeoutMs / 1000} s; ${who}`);
    return this.failure;
  }

  /**
   * The process ends, and nobody has called close(). With an error it takes the others along, or they would wait for it for ever. Without one it
   * may leave only if all do, since MPI_Finalize waits for all; a rank whose promise never settles gets here, too.
   */
  private leave(code: number, uncaught: unknown): void {
    const { rank, size } = this.mpi;
    this.isClosed = true;
    const words: string[] = [];
    try {
      const isShown = uncaught === undefined || process.listenerCount('uncaughtException') > 0;
      if (!isShown) words.push(inspect(uncaught));
      if (code !== 0) throw new Error(`it ends with code ${code}, and the job with it`);
      if (this.failure) throw this.failure;
      this.agreeToLeave();
      this.mpi.finalize();
    } catch (error) {
      words.push(`tapegrad: rank ${rank} of ${size}: ${error instanceof Error ? error.message : String(error)}`);
      sayLast(`${words.join('\n')}\n`);
      this.mpi.abort(code === 0 ? 1 : code);
    }
  }

  /** `agree` for an exit handler, in which nothing can be awaited. */
  private agreeToLeave(): void {
    const until = performance.now() + PATIENCE_AT_EXIT_MS;
    const wait = (request: Request): void => {
      while (!this.mpi.isDone(request)) {
        if (performance.now() > until)
          throw new TimeoutError('exit', 'the process ends without close(), while other ranks are still at work');
        pause(1); // those it waits for may need its core
      }
    };
    for (const request of this.compare({ ...CLOSE, told: 'the end of its process, without close()' })) wait(request);
  }
}

/** A text's bytes, filled up with zeros to a length. */
function encode(text: string, bytes?: number): Uint8Array {
  const encoded = new TextEncoder().encode(text);
  if (bytes === undefined) return encoded;
  const filled = new Uint8Array(bytes);
  filled.set(encoded.subarray(0, bytes));
  return filled;
}

function decode(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function* piecesOf(array: Flat, bytes: number): Generator<Flat> {
  const step = Math.max(1, Math.floor(bytes / array.BYTES_PER_ELEMENT));
  for (let at = 0; at < array.length; at += step) yield array.subarray(at, at + step);
}
