/** Tests import the public surface as users do: 'tapegrad' is src/index.ts here, 'tapegrad/distributed' src/distributed/index.ts. */
export default {
  testEnvironment: 'node',
  // jest leaves one core free, which on a machine with two means that it uses one.
  maxWorkers: '100%',
  testSequencer: '<rootDir>/test/sequencer.mjs',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  moduleNameMapper: {
    '^tapegrad$': '<rootDir>/src/index.ts',
    '^tapegrad/distributed$': '<rootDir>/src/distributed/index.ts',
    // jest runs modules as CommonJS, which has no import.meta.
    '/require\\.js$': '<rootDir>/test/require.cjs',
    '^webgpu$': '<rootDir>/test/webgpu/dawn.cjs',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  // In jest's sandbox a look at a global takes a microsecond, in loops over elements most of the time; these become parameters of each module.
  sandboxInjectedGlobals: [
    'Math',
    'Number',
    'Array',
    'Object',
    'Infinity',
    'Float32Array',
    'Float64Array',
    'Int32Array',
    'Uint8Array',
    'Uint16Array',
    'Map',
    'Set',
    'Atomics',
  ],
  // Tests judge results, not times: what hangs is ended, and a busy machine may take a hundred times as long as a quiet one. No test has a limit of its own.
  testTimeout: 600_000,
  reporters: ['default', 'summary', '<rootDir>/test/not-run.mjs'],
  transform: {
    '^.+\\.ts$': [
      'ts-jest',
      {
        tsconfig: {
          module: 'CommonJS',
          moduleResolution: 'Node10',
          isolatedModules: true,
          esModuleInterop: true,
          target: 'ES2022',
        },
      },
    ],
  },
};
