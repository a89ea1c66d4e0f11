/** The op suite on the 'metal' device, and every kernel's signature against what its op declares. */
import { plans } from '../../src/backends/gpu/plans.js';
import { sources } from '../../src/backends/metal/generated/sources.js';
import { formulas } from '../../src/ops/formulas.js';
import { opSuite, type Slack } from '../ops.suite.js';
import { metalTests } from './harness.js';
import { inEveryMode } from './modes.js';
import { declared, signatureOf, watchLaunches } from './signatures.js';

// The software device computes with a CPU's functions. Metal promises 4 units in the last place for most, and ops combine a few.
const slack: Slack = process.platform === 'darwin' ? { ulps: 12, flushesDenormals: true } : {};

const launched = watchLaunches();

inEveryMode('on metal', ({ metal }) => {
  opSuite('metal', () => Promise.resolve(metal()), slack);
});

metalTests('kernels on metal', () => {
  const inFiles = Object.values(sources).flatMap((source) =>
    [...source.matchAll(/^kernel void (\w+)\(/gm)].map(([, name]) => name!),
  );

  test('the suite has run every kernel of metal/ but for CTC and what plans add, and every elementwise op', () => {
    const names = new Set([...launched].map(({ name }) => name));
    const ofPlans = Object.values(plans).flatMap(({ kernels }) => kernels.map(({ name }) => name));
    expect(
      [...inFiles, ...formulas.keys()].filter(
        (name) => !names.has(name) && !name.startsWith('ctc') && !ofPlans.includes(name),
      ),
    ).toEqual([]);
  });

  test('each has the buffers and parameters that its op declares, in that order', () => {
    const kernels = [...launched];
    expect(kernels.map((kernel) => [kernel.name, signatureOf(kernel)])).toEqual(
      kernels.map((kernel) => [kernel.name, declared(kernel)]),
    );
    // Objects are equal in any order, structs are not.
    expect(kernels.map((kernel) => Object.keys(signatureOf(kernel).params))).toEqual(
      kernels.map((kernel) => Object.keys(kernel.params)),
    );
  });
});
