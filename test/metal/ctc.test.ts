/** ctcLoss on the 'metal' device. */
import { ctcSuite } from '../gpu/ctc.suite.js';
import { metalTests } from './harness.js';
import { inEveryMode } from './modes.js';
import { ctcKernels, declared, signatureOf, watchLaunches } from './signatures.js';

const launched = watchLaunches();

inEveryMode('ctcLoss on metal', ({ metal }) => {
  ctcSuite(metal);
});

metalTests('CTC kernels on metal', () => {
  test('all of them have run, with the buffers and parameters that the op declares', () => {
    const kernels = [...launched].filter(({ family }) => family.startsWith('ctc'));
    expect(kernels.map(({ name }) => name).sort()).toEqual(
      [...[...ctcKernels].map(({ name }) => name), 'ctcScale'].sort(),
    );
    expect(kernels.map((kernel) => [kernel.name, signatureOf(kernel)])).toEqual(
      kernels.map((kernel) => [kernel.name, declared(kernel)]),
    );
    expect(kernels.map((kernel) => Object.keys(signatureOf(kernel).params))).toEqual(
      kernels.map((kernel) => Object.keys(kernel.params)),
    );
  });
});
