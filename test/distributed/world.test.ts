import { type Job, mpirun, mpiTests, ROOT } from './launch.js';
import { execFileSync } from 'node:child_process';
import { nodeArgs } from '../node.js';

interface Seen {
  rank: number;
  size: number;
  localRank: number;
  localSize: number;
  library: string;
  digest: string;
}

const ended = (job: Job): void => {
  expect({ code: job.code, error: job.error, out: job.code === 0 ? '' : job.out }).toEqual({
    code: 0,
    error: '',
    out: '',
  });
};

mpiTests(
  'every call',
  (launcher) => {
    test.each(launcher.env.TAPEGRAD_MPI ? [2] : [1, 2, 4])(
      'on %i ranks: the right numbers, the same on all of them',
      async (ranks) => {
        const job = await mpirun(launcher, ranks, 'calls.mjs', [], { nodeOptions: ['--expose-gc'] });
        ended(job);
        const seen = job.reports as Seen[];
        expect(seen.map(({ rank, size, localRank, localSize }) => [rank, size, localRank, localSize])).toEqual(
          Array.from({ length: ranks }, (_, r) => [r, ranks, r, ranks]),
        );
        expect(new Set(seen.map(({ digest }) => digest)).size).toBe(1);
        const library = { 'Open MPI': /^Open MPI v.* \(libmpi\.so/, MPICH: /^MPICH .* \(libmpi(ch)?\.so/ }[
          launcher.name
        ];
        expect(seen[0]!.library).toMatch(library ?? /^MPICH .*\/libmpi_abi\.so\.1\)$/);
      },
    );
  },
  ['Open MPI', 'MPICH', 'the standard interface'],
);

mpiTests('the library of another MPI', (launcher) => {
  test('is an error that names the launcher and the library', async () => {
    const [by, other, named] =
      launcher.name === 'MPICH'
        ? ["MPICH's mpirun (Hydra)", 'libmpi.so.40', 'Open MPI v']
        : ["Open MPI's mpirun", 'libmpich.so.12', 'MPICH '];
    const job = await mpirun(launcher, 2, 'mismatches.mjs', [], { env: { TAPEGRAD_MPI: other } });
    expect(job.code).not.toBe(0);
    expect(job.code).not.toBe('SIGKILL');
    // Whichever rank is first: Open MPI ends the others as soon as one has failed.
    const started = /MpiError: \[init\] (.*) started this process as rank [01] of 2, but (.*)/.exec(job.error);
    expect(started?.[1]).toBe(by);
    expect(started?.[2]).toContain(named);
    expect(job.error).toContain("sees rank 0 of 1: it is not this launcher's library.");
    expect(job.reports).toEqual([undefined, undefined]);
  });

  test('a file that is no MPI, or is not there', async () => {
    const nothing = await mpirun(launcher, 1, 'mismatches.mjs', [], { env: { TAPEGRAD_MPI: '/nowhere/libmpi.so' } });
    expect(nothing.code).not.toBe(0);
    expect(nothing.error).toMatch(
      /MpiError: \[init\] no MPI library was found; set TAPEGRAD_MPI .*\/nowhere\/libmpi\.so/,
    );
    const other = await mpirun(launcher, 1, 'mismatches.mjs', [], { env: { TAPEGRAD_MPI: 'libm.so.6' } });
    expect(other.error).toMatch(/MpiError: \[init\] libm\.so\.6 is no MPI library/);
  });
});

test('without a launcher: a world of one, for which neither MPI nor koffi is loaded', () => {
  const code = `
    import { tensor } from 'tapegrad';
    import { init } from 'tapegrad/distributed';
    const world = await init();
    const x = { a: tensor([1, 2]), b: tensor(3) };
    const same = [await world.allSum(x), await world.averageGradients(x, { weight: 4 }), await world.broadcast(x)].every((y) => y === x);
    await world.assertSame(x);
    await world.barrier();
    const gathered = (await world.allGather(x.b)).shape;
    const { rank, size, localRank, localSize, library } = world;
    await world.close();
    const loaded = process.report.getReport().sharedObjects.filter((file) => /koffi|libmpi/.test(file));
    console.log(JSON.stringify({ rank, size, localRank, localSize, library, same, gathered, loaded }));
  `;
  // A process of its own, with nothing of a launcher's around this one.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^(OMPI|PMI|SLURM|TAPEGRAD)/.test(key)),
  );
  const out = execFileSync(process.execPath, nodeArgs('--input-type=module', '-e', code), {
    cwd: ROOT,
    env,
    encoding: 'utf8',
  });
  expect(JSON.parse(out)).toEqual({
    rank: 0,
    size: 1,
    localRank: 0,
    localSize: 1,
    library: null,
    same: true,
    gathered: [1],
    loaded: [],
  });
});
