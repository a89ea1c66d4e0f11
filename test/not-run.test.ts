import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { nodeArgs } from './node.js';

test('a run on a machine without compiler, browser and MPI ends by saying what was not run', () => {
  const bare = mkdtempSync(join(tmpdir(), 'tapegrad-bare-'));
  symlinkSync(process.execPath, join(bare, 'node'));
  const files = ['test/metal/abi.test.ts', 'test/browser/browser.test.ts', 'test/distributed/world.test.ts'];
  const { stderr, status } = spawnSync(
    process.execPath,
    nodeArgs(resolve('node_modules/jest/bin/jest.js'), '-i', ...files),
    {
      env: { PATH: bare, HOME: bare, TMPDIR: tmpdir() },
      encoding: 'utf8',
    },
  );
  rmSync(bare, { recursive: true });
  expect(status).toBe(0);
  const skipped = Number(/^Tests: +(\d+) skipped, \d+ (passed, \d+ )?total$/m.exec(stderr)?.[1]);
  const ending = stderr.trimEnd().split('\n').slice(-5);
  const told = ending.map((line) =>
    /^Not run: (\d+) tests?: (the browser|Metal|Open MPI|MPICH|the standard interface) \(/.exec(line),
  );
  expect(told.map((match) => match?.[2]).sort()).toEqual([
    'MPICH',
    'Metal',
    'Open MPI',
    'the browser',
    'the standard interface',
  ]);
  expect(told.reduce((sum, match) => sum + Number(match![1]), 0)).toBe(skipped);
  expect(stderr).not.toMatch(/^FAIL/m);
});
