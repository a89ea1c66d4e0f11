import { device } from 'tapegrad';
import { registry } from '../src/autograd/op.js';
import { opSuite } from './ops.suite.js';

/** How often each registered op was applied and differentiated while the suite ran. */
const applied = new Map<string, number>();
const differentiated = new Map<string, number>();
const count = (map: Map<string, number>, name: string): void => {
  map.set(name, (map.get(name) ?? 0) + 1);
};

const watched = [...registry.values()].filter(({ name }) => !name.startsWith('ctc')); // CTC has suites of its own
for (const spec of watched as {
  name: string;
  infer: (...args: never[]) => unknown;
  vjp?: (...args: never[]) => unknown;
}[]) {
  const { infer, vjp } = spec;
  spec.infer = (...args) => {
    count(applied, spec.name);
    return infer(...args);
  };
  if (vjp) {
    spec.vjp = (...args) => {
      count(differentiated, spec.name);
      return vjp(...args);
    };
  }
}

opSuite('the CPU', () => device('cpu'));

test('every registered op was applied, and differentiated if it can be', () => {
  expect(watched.filter(({ name }) => !applied.has(name)).map(({ name }) => name)).toEqual([]);
  expect(watched.filter(({ name, vjp }) => vjp && !differentiated.has(name)).map(({ name }) => name)).toEqual([]);
});
