import { writeSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { type Call, differenceOf, digestOf, ranksText, textOf } from './agreement.js';
import { MismatchError, TimeoutError } from './errors.js';
import type { Flat, Mpi, Reduction, Request } from './mpi.js';

/** Short calls are over after a few polls. A waiting rank then polls once a turn of the event loop, and after a while once a millisecond. */
const SPINS = 50;
const EAGER_MS = 50;

/** How long a process that ends without close() waits for the others to end as well. */
const PATIENCE_AT_EXIT_MS = 10_000;

/** Texts of calls that differ are sent as far as this, so that a world of thousands can still gather them. */
const MOST_TEXT_BYTES = 2 ** 14;

/** What messages between two ranks are about. */
const TAGS = { fromSender: 1, fromReceiver: 2, data: 3, present: 4 };

/** MPI with errors where MPI has deadlocks and garbage: calls that do not match, ranks that do not come, processes that leave. */
export class Link {
  /** Milliseconds: waiting for slower ranks, and moving data. */
  readonly spent = { waiting: 0, moving: 0 };
  bytes = 0;
  /** Where there are more ranks than cores, a rank that polls without rest keeps the core from those it waits for. */
  isCrowded = false;
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

  /** Runs calls that the other side must meet in the same order one after another, in the order in which they were made. */
  inOrder<T>(lane: string, body: () => Promise<T>): Promise<T> {
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

  /**
   * Waits until all ranks are here, and sees that they are about to do the same.
   * @throws {MismatchError} on all ranks, if they are not.
   */
  async agree(op: string, call: Call): Promise<void> {
    const began = performance.now();
    const text = textOf(call);
    const header = headerOf(text);
    await this.finish(this.mpi.allreduce(header, 'max'), op);
    this.spent.waiting += performance.now() - began;
    if (isAgreed(header)) return;
    const size = lengthOf(text);
    await this.finish(this.mpi.allreduce(size, 'max'), op);
    const { own, all } = this.placesFor(text, size[0]!);
    await this.finish(this.mpi.allgather(own, all), op);
    throw this.mismatch(all);
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

  /** Sends to a rank, or fills the array with what it sends, once both have agreed on the call's lines. */
  async exchange(
    kind: 'send' | 'receive',
    array: Uint8Array,
    peer: number,
    call: Call,
    pieceBytes: number,
  ): Promise<void> {
    const op = kind === 'send' ? 'send' : 'recvLike';
    await this.agreeWith(peer, kind, call);
    for (const piece of piecesOf(array, pieceBytes)) await this.finish(this.mpi[kind](piece, peer, TAGS.data), op);
    this.bytes += array.byteLength;
  }

  async close(): Promise<void> {
    await this.agree('close', { head: 'close', lines: [] });
    this.isClosed = true;
    this.mpi.finalize();
  }

  abort(code: number): void {
    this.isClosed = true;
    this.mpi.abort(code);
  }

  /** Both sides send their texts; each compares. Two ranks may send to each other at once. */
  private async agreeWith(peer: number, kind: 'send' | 'receive', call: Call): Promise<void> {
    const op = kind === 'send' ? 'send' : 'recvLike';
    const text = encode(textOf(call), MOST_TEXT_BYTES);
    const theirs = new Uint8Array(MOST_TEXT_BYTES);
    const [own, other] = kind === 'send' ? [TAGS.fromSender, TAGS.fromReceiver] : [TAGS.fromReceiver, TAGS.fromSender];
    const requests = [this.mpi.receive(theirs, peer, other), this.mpi.send(text, peer, own)];
    for (const request of requests) await this.finish(request, op);
    if (Buffer.compare(text, theirs) === 0) return;
    const texts: string[] = []; // of two ranks only
    texts[this.mpi.rank] = decode(text);
    texts[peer] = decode(theirs);
    throw new MismatchError('world', differenceOf(texts));
  }

  private count(bytes: number, began: number): void {
    this.bytes += bytes;
    this.spent.moving += performance.now() - began;
  }

  /** Waits for a call without stopping the event loop. */
  private async finish(request: Request, op: string): Promise<void> {
    for (let i = 0; i < SPINS; i++) if (this.mpi.isDone(request)) return;
    const began = performance.now();
    const eagerMs = this.isCrowded ? 0 : EAGER_MS;
    while (!this.mpi.isDone(request)) {
      const waited = performance.now() - began;
      if (waited > this.timeoutMs) throw await this.timeOut(op);
      await (waited > eagerMs ? sleep(1) : nextTurn());
    }
  }

  /** Those who wait make themselves known to each other; who is not heard of did not come. */
  private async timeOut(op: string): Promise<Error> {
    const { rank, size } = this.mpi;
    const others = Array.from({ length: size }, (_, r) => r).filter((r) => r !== rank);
    const heard = others.map((r) => ({ rank: r, request: this.mpi.receive(new Uint8Array(1), r, TAGS.present) }));
    for (const r of others) this.mpi.send(new Uint8Array(1), r, TAGS.present);
    const until = performance.now() + Math.min(30_000, Math.max(1000, this.timeoutMs / 10));
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
    try {
      if (uncaught !== undefined) writeSync(2, `${inspect(uncaught)}\n`);
      if (code !== 0) throw new Error(`it ends with code ${code}, and the job with it`);
      if (this.failure) throw this.failure;
      this.agreeToLeave();
      this.mpi.finalize();
    } catch (error) {
      writeSync(2, `tapegrad: rank ${rank} of ${size}: ${error instanceof Error ? error.message : String(error)}\n`);
      this.mpi.abort(code === 0 ? 1 : code);
    }
  }

  /** `agree` for an exit handler, in which nothing can be awaited. */
  private agreeToLeave(): void {
    const until = performance.now() + PATIENCE_AT_EXIT_MS;
    const wait = (request: Request): void => {
      while (!this.mpi.isDone(request))
        if (performance.now() > until)
          throw new TimeoutError('exit', 'the process ends without close(), while other ranks are still at work');
    };
    const text = textOf({ head: 'close', lines: [] });
    const header = headerOf(text);
    wait(this.mpi.allreduce(header, 'max'));
    if (isAgreed(header)) return;
    const ended = 'the end of its process, without close()';
    const size = lengthOf(ended);
    wait(this.mpi.allreduce(size, 'max'));
    const { own, all } = this.placesFor(ended, size[0]!);
    wait(this.mpi.allgather(own, all));
    throw this.mismatch(all);
  }

  private placesFor(text: string, bytes: number): { own: Uint8Array; all: Uint8Array } {
    return { own: encode(text, bytes), all: new Uint8Array(bytes * this.mpi.size) };
  }

  private mismatch(all: Uint8Array): MismatchError {
    const bytes = all.length / this.mpi.size;
    const texts = Array.from({ length: this.mpi.size }, (_, r) => decode(all.subarray(r * bytes, (r + 1) * bytes)));
    return new MismatchError('world', differenceOf(texts));
  }
}

/** The maximum of a digest, and the maximum of its negative, which is minus the minimum. */
function headerOf(text: string): Float64Array {
  const digest = digestOf(text);
  return Float64Array.of(digest, -digest);
}

const isAgreed = (header: Float64Array): boolean => header[0] === -header[1]!;

const lengthOf = (text: string): Int32Array => Int32Array.of(Math.min(MOST_TEXT_BYTES, Buffer.byteLength(text)));

function encode(text: string, bytes: number): Uint8Array {
  const encoded = new Uint8Array(bytes);
  new TextEncoder().encodeInto(text, encoded);
  return encoded;
}

function decode(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function* piecesOf(array: Flat, bytes: number): Generator<Flat> {
  const step = Math.max(1, Math.floor(bytes / array.BYTES_PER_ELEMENT));
  for (let at = 0; at < array.length; at += step) yield array.subarray(at, at + step);
}
