/** Launches on their way: gathered, submitted in order, waited for, and what goes wrong with them. */
import type { DeviceName, TypedArray } from '../backend.js';
import type { GpuDevice, Launch, ReadRequest, Submission } from './device.js';
import { Failures, nameOps } from './failures.js';
import { BATCH, FIRST_BATCH, FIRST_ELEMENTS, MOST_IN_FLIGHT } from './limits.js';
import type { Clock } from './memory.js';
import type { Outcomes } from './outcomes.js';
import { Turns } from './turns.js';

interface InFlight {
  readonly number: number;
  readonly submission: Submission;
  /** What asked for it, for errors. */
  readonly ops: readonly string[];
}

export class Submissions implements Clock {
  recording = 1;
  completed = 0;
  readonly failures: Failures;
  /** Launches that wait to be submitted, in their order, and what asked for them. */
  private launches: Launch[] = [];
  private ops: string[] = [];
  private inFlight: InFlight[] = [];
  /** Contents on their way from another device, and what comes behind them. */
  private readonly turns = new Turns();
  /** The numbers of submissions that wait for their turn. */
  private readonly held: number[] = [];
  private isClosed = false;
  /** Launches that the next submission waits for. */
  private batch = FIRST_BATCH;
  /** Elements of the launches that have been gathered. */
  private elements = 0;
  /** What the submission that is being made is for. */
  private submitting: readonly string[] = [];
  /** The last submission that is known to have gone well. */
  private confirmed = 0;

  constructor(
    private readonly gpu: GpuDevice,
    private readonly outcomes: Outcomes,
    name: () => DeviceName,
  ) {
    this.failures = new Failures(name);
    gpu.onError = (error) => {
      this.fail(error, nameOps([...this.inFlight.flatMap(({ ops }) => ops), ...this.submitting]), this.confirmed + 1);
    };
  }

  get submitted(): number {
    return (this.held[0] ?? this.recording) - 1;
  }

  /** Whether something waits for contents from another device. */
  get areWaiting(): boolean {
    return !this.turns.areFree;
  }

  /** Takes a launch in. */
  add(launch: Launch, op: string): void {
    this.launches.push(launch);
    this.ops.push(op);
    if (this.launches.length >= BATCH) this.flush();
  }

  /** After all launches of an op: submits them where the device is better off with them than with more. */
  rest(elements: number): void {
    this.elements += elements;
    if (this.launches.length >= this.batch || (this.batch === FIRST_BATCH && this.elements >= FIRST_ELEMENTS))
      this.flush();
  }

  /** The contents that a submission wrote have been read, so it is over. */
  isOver(number: number): void {
    this.confirmed = Math.max(this.confirmed, number);
    if (number === this.recording - 1) this.batch = FIRST_BATCH;
  }

  /** Submits what has been gathered, as soon as nothing of it waits for another device. */
  flush(): void {
    if (this.launches.length > 0) void this.submit();
  }

  /** Reads what is written until now as soon as it is there: behind the launches where they have been gathered with it. */
  read(request: ReadRequest, lastUse: number): Promise<TypedArray> {
    if (lastUse >= this.recording && this.launches.length > 0) return this.submit(request) ?? copyOf(request);
    return this.turns.areFree || lastUse <= this.submitted ? copyOf(request) : this.turns.next(() => copyOf(request));
  }

  /** Runs when everything until now has been submitted, and what comes later waits for it. */
  hold(run: () => Promise<void>): void {
    this.flush();
    void this.turns.next(run);
  }

  /** Submits what has been gathered and waits for everything up to a number, without blocking; what goes wrong is noted. */
  async until(number: number): Promise<void> {
    if (number >= this.recording) this.flush();
    await this.turns.passed();
    await this.outcomes.known();
    while (this.completed < number && this.inFlight.length > 0) {
      const next = this.inFlight[0]!;
      try {
        await next.submission.done();
      } catch (error) {
        this.noteFailure(next, error);
      } finally {
        this.retire(next);
      }
    }
  }

  wait(): void {
    this.waitFor(this.recording);
  }

  /** The same in place, where the device can be waited for so. */
  waitFor(number: number): void {
    if (number >= this.recording) this.flush();
    while (this.inFlight.length > 0 && this.inFlight[0]!.number <= number) {
      const next = this.inFlight[0]!;
      if (!next.submission.wait) return;
      try {
        next.submission.wait();
      } catch (error) {
        this.noteFailure(next, error);
      } finally {
        this.retire(next);
      }
    }
  }

  /** Takes note of what went wrong; what is launched from here on is no part of it. */
  fail(error: unknown, ops: string, from: number): void {
    this.failures.add(error, ops, from, this.recording);
    if (this.launches.length > 0) this.flush();
    else this.recording++;
  }

  close(): void {
    this.isClosed = true;
  }

  /** Submits what has been gathered. What comes back is what was asked to be read. */
  private submit(read?: ReadRequest): Promise<TypedArray> | null {
    const { launches, ops } = this;
    this.launches = [];
    this.ops = [];
    this.elements = 0;
    this.batch = Math.min(2 * this.batch, BATCH);
    const number = this.recording++;
    const run = (): Submission | null => {
      this.submitting = ops;
      try {
        const submission = this.gpu.run(launches, read);
        this.inFlight.push({ number, submission, ops });
        if (this.inFlight.length > MOST_IN_FLIGHT) this.waitFor(this.inFlight[0]!.number);
        return submission;
      } catch (error) {
        this.fail(error, nameOps(ops), number); // no fault of the op that happened to be the last of them
        return null;
      } finally {
        this.submitting = [];
      }
    };
    if (this.turns.areFree) return run()?.contents ?? null;
    this.held.push(number);
    const submitted = this.turns.next(() => {
      this.held.shift();
      return this.isClosed ? null : run();
    });
    return read ? submitted.then((submission) => submission?.contents ?? copyOf(read)) : null;
  }

  /** Several readers may wait for one submission: its failure counts once. */
  private noteFailure({ number, ops }: InFlight, error: unknown): void {
    if (this.inFlight.some((other) => other.number === number)) this.fail(error, nameOps(ops), number);
  }

  private retire(done: InFlight): void {
    this.completed = Math.max(this.completed, done.number);
    this.inFlight = this.inFlight.filter(({ number }) => number > done.number);
  }
}

/** What memory holds behind all that has been submitted. */
const copyOf = ({ memory, dtype, length }: ReadRequest): Promise<TypedArray> =>
  Promise.resolve(memory.read(dtype, length));
