// The arrows of docs/ARCHITECTURE.md: index, distributed -> nn, optim, data, io -> ops -> autograd -> tensor -> backends/backend.ts, and no circles.
const layers = [['distributed'], ['nn', 'optim', 'io', 'data'], ['ops'], ['autograd'], ['tensor']];
const folders = (names) => `^src/(${names.join('|')})/`;

/** No layer imports one above it, nor a concrete backend; a backend imports no layer at all. */
const upwards = layers.slice(1).map((names, i) => ({
  name: `${names[0]}-imports-nothing-above-it`,
  severity: 'error',
  from: { path: folders(names) },
  to: { path: folders(layers.slice(0, i + 1).flat()) },
}));

export default {
  forbidden: [
    {
      name: 'no-circles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    ...upwards,
    {
      name: 'only-its-own-entry-point-imports-distributed',
      severity: 'error',
      from: { pathNot: '^src/(distributed/|internals\\.ts$)' }, // the latter is for benchmarks, and not in the package
      to: { path: '^src/distributed/' },
    },
    {
      name: 'layers-know-no-concrete-backend',
      severity: 'error',
      from: { path: folders(layers.flat()) },
      to: { path: '^src/backends/(cpu|gpu|metal|webgpu)/' },
    },
    {
      name: 'backends-know-no-layer',
      severity: 'error',
      from: { path: '^src/backends/' },
      to: { path: folders(layers.flat()) },
    },
    {
      name: 'koffi-lives-in-one-file',
      severity: 'error',
      from: { pathNot: '^src/backends/koffi\\.ts$' },
      to: { path: '^(node_modules/)?koffi' },
    },
    {
      name: 'dawn-lives-in-one-file',
      severity: 'error',
      from: { pathNot: '^src/backends/webgpu/dawn\\.ts$' },
      to: { path: '^(node_modules/)?webgpu' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
