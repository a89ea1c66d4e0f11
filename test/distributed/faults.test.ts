import { setTimeout as sleep } from 'node:timers/promises';
import { mpirun, mpiTests } from './launch.js';

interface Report {
  rank: number;
  messages: Record<string, string>;
  failed: Record<string, string | number>;
  mean: string[];
  empty: number[];
}

const LEFT =
  /\[world\] the ranks do not agree: rank 0 at averageGradients of 2 tensors.*; rank 1 at the end of its process, without close\(\)/;

mpiTests('a rank that', (launcher) => {
  const times: string[] = [];
  afterAll(() => {
    console.info(`From the fault to the end of the job, ${launcher.name}: ${times.join(', ')}`);
  });

  test.each([
    ['throws', 2, /a bug in the user code[^]*tapegrad: rank 1 of 2: it ends with code 1, and the job with it/],
    ['rejects', 2, /a promise that nobody looks after[^]*tapegrad: rank 1 of 2: it ends with code 1/],
    ['exits', 2, /tapegrad: rank 1 of 2: it ends with code 3, and the job with it/],
    ['killed', 2, /rank 1 .* exited on signal 9|EXIT CODE: 9/],
    ['leaves', 2, LEFT],
    ['forgets', 2, LEFT],
    ['never', 2, LEFT],
    // MPICH does not see that a rank has ended before it was initialised.
    [
      'early',
      2,
      launcher.name === 'MPICH'
        ? /tapegrad: TimeoutError: \[init\] rank 0 of 2 has waited 10 s in MPI_Init; another one has ended before, or hangs/
        : /Exit code: +3/,
    ],
    ['hang', 3, /TimeoutError: \[averageGradients\] rank \d of 3 has waited 2 s; nothing is heard of rank 2/],
  ] as const)('%s takes the others along', async (fault, ranks, message) => {
    const job = await mpirun(launcher, ranks, 'faults.mjs', [fault]);
    const ended = Date.now();
    // Calls wait longer than jobs may last here: nobody is saved by a timeout, but where the message is one.
    expect(job.code).not.toBe('SIGKILL');
    expect(job.code).not.toBe(0);
    expect(job.out).not.toContain('as if nothing had happened');
    expect(job.error + job.out).toMatch(message);
    if (fault === 'exits') expect(job.code).toBe(3);
    const report = job.reports.at(-1) as { at: number } | undefined;
    if (report) times.push(`${fault} ${((ended - report.at) / 1000).toFixed(1)} s`);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

mpiTests('Ctrl-C', (launcher) => {
  test('ends the job, and no rank outlives it', async () => {
    const processes = (out: string): number[] => Array.from(out.matchAll(/process (\d+)/g), ([, pid]) => Number(pid));
    const job = await mpirun(launcher, 3, 'faults.mjs', ['interrupted'], {
      interruptAt: (out) => processes(out).length === 3,
    });
    expect(job.code).not.toBe('SIGKILL'); // MPICH's mpirun says 0 if its ranks are gone before it has looked
    const left = (): number[] => processes(job.out).filter((pid) => isAlive(pid));
    for (let i = 0; i < 2000 && left().length > 0; i++) await sleep(50); // Open MPI's mpirun may be a little ahead of them
    expect(left()).toEqual([]);
  });
});

mpiTests('calls that do not match', (launcher) => {
  test.each([2, 4])('on %i ranks: the same error on all of them, and the world goes on', async (ranks) => {
    const job = await mpirun(launcher, ranks, 'mismatches.mjs');
    expect({ code: job.code, error: job.error }).toEqual({ code: 0, error: '' });
    const [first, ...others] = job.reports as Report[];
    expect(others).toHaveLength(ranks - 1);
    const { send, sendLate, ...messages } = first!.messages;
    for (const other of others) {
      const { send: _, sendLate: __, ...theirs } = other.messages;
      expect(theirs).toEqual(messages);
      expect(other.mean).toEqual(first!.mean);
    }
    const last = `rank ${ranks - 1}`;
    const rest = ranks === 2 ? 'rank 0' : 'ranks 0, 1, 2';
    const begin = '[world] the ranks do not agree:';
    expect(messages).toEqual({
      shape: `${begin} ${rest} at allSum of 2 tensors, with .w float32[10, 100] in place 0; ${last} at allSum of 2 tensors, with .w float32[100, 10] in place 0`,
      size: `${begin} ${rest} at averageGradients of 1 tensor, with .b float32[300000] in place 0; ${last} at averageGradients of 1 tensor, with .b float32[3] in place 0`,
      dtype: `${begin} ${rest} at allMax of 1 tensor, with .b float32[3] in place 0; ${last} at allMax of 1 tensor, with .b float64[3] in place 0`,
      number: `${begin} ${rest} at averageGradients of 2 tensors, with .b float32[3] in place 1; ${last} at averageGradients of 1 tensor, with nothing in place 1`,
      order: `${begin} ${rest} at averageGradients of 2 tensors, with .w float32[10, 100] in place 0; ${last} at averageGradients of 2 tensors, with .b float32[3] in place 0`,
      late: `${begin} ${rest} at allSum of 10000 tensors, with [9990] float32[1] in place 9990; ${last} at allSum of 10000 tensors, with [9990] float32[3] in place 9990`,
      constant: `${begin} ${rest} at averageGradients of 1 tensor, with .loss = 1.5 in place 1; ${last} at averageGradients of 1 tensor, with .loss = 2.5 in place 1`,
      call: `${begin} ${rest} at broadcast of 1 tensor from rank 0, with .b float32[3] in place 0; ${last} at barrier, with nothing in place 0`,
      root: `${begin} ${rest} at broadcast of 1 tensor from rank 0; ${last} at broadcast of 1 tensor from rank 1`,
      bit: expect.stringMatching(
        /rank.* at assertSame of the parameters, with \.w float32\[1\] with digest [0-9a-f]{12} in place 1; rank/,
      ) as string,
      sign: expect.stringMatching(/at assertSame of the tree, with \[0\] float32\[1\] with digest/) as string,
    });
    expect(others[0]!.messages.send).toBe(send);
    expect(send).toBe(
      `${begin} rank 0 at send and recvLike of 1 tensor, with .b float32[3] in place 0; rank 1 at send and recvLike of 1 tensor, with .b float32[2] in place 0`,
    );
    expect(others[0]!.messages.sendLate).toBe(sendLate);
    expect(sendLate).toBe(
      `${begin} rank 0 at send and recvLike of 10000 tensors, with [9990] float32[1] in place 9990; rank 1 at send and recvLike of 10000 tensors, with [9990] int32[1] in place 9990`,
    );
    const problem = '[averageGradients] weight is NaN; it must be finite and not negative';
    expect(others.at(-1)!.failed).toMatchObject({ 1: 1, 2: problem, 3: 3 });
    for (const { failed } of [first!, ...others.slice(0, -1)])
      expect(failed).toMatchObject({
        1: 1,
        2: `${begin} ${rest} at averageGradients of 1 tensor, with .g float32[1] in place 0; ${last} at a failed averageGradients: ${problem}, with nothing in place 0`,
        3: 3,
      });
    expect(others.at(-1)!.failed.send).toMatch(/^\[send\] the argument is 1, no tensor and no tree of tensors/);
    expect(first!.failed.send).toContain(`${last} at a failed send: [send] the argument is 1`);
    expect(first!.mean).toEqual(['NaN', '1']);
    expect(first!.empty).toEqual([2, 4]);
  });
});
