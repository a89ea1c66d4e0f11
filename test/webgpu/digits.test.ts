/** The built package in Node, with Dawn as it comes from npm: the digits example's model trains on the GPU as on the CPU. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { checkBuilt } from '../built.js';
import { webGpuTests } from './harness.js';
import { nodeArgs } from '../node.js';

webGpuTests('the digits example on webgpu', () => {
  test('three training steps, silently', () => {
    checkBuilt();
    const { status, stdout, stderr } = spawnSync(process.execPath, nodeArgs(join(__dirname, 'programs/digits.mjs')), {
      encoding: 'utf8',
    });
    // Dawn says at the start what it made less of a driver's limits.
    expect([status, stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Warning: max'))]).toEqual([
      0,
      [],
    ]);
    const { cpu, gpu, name } = JSON.parse(stdout) as { cpu: number[]; gpu: number[]; name: string };
    expect(name).toMatch(/^WebGPU \(.+\)$/);
    expect(gpu).toHaveLength(3);
    cpu.forEach((loss, i) => {
      expect(Math.abs(gpu[i]! - loss)).toBeLessThanOrEqual(1e-4 * loss);
    });
    expect(gpu[2]!).toBeLessThan(gpu[0]! / 2);
  });
});
