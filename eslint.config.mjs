import js from '@eslint/js';
import importX from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'out/', 'coverage/', '**/generated/', 'wasm/', 'test/types/'] },
  js.configs.recommended,
  {
    files: ['src/**/*.ts', 'test/**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver-next': [importX.createNodeResolver({ extensionAlias: { '.js': ['.ts', '.js'] } })], 'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] } },
    rules: {
      'import-x/no-cycle': 'error',
      // The arrows of docs/ARCHITECTURE.md: index -> nn, optim, data, io -> ops -> autograd -> tensor -> backends/backend.ts.
      'import-x/no-restricted-paths': ['error', { zones: [
        { target: './src/backends', from: ['./src/tensor', './src/autograd', './src/ops', './src/nn', './src/optim', './src/io', './src/data'] },
        { target: './src/tensor', from: ['./src/autograd', './src/ops', './src/nn', './src/optim', './src/io', './src/data', './src/backends/cpu', './src/backends/metal'] },
        { target: './src/autograd', from: ['./src/ops', './src/nn', './src/optim', './src/io', './src/data', './src/backends/cpu', './src/backends/metal'] },
        { target: './src/ops', from: ['./src/nn', './src/optim', './src/io', './src/data', './src/backends/cpu', './src/backends/metal'] },
        { target: ['./src/nn', './src/optim', './src/io', './src/data'], from: ['./src/backends/cpu', './src/backends/metal'] },
      ] }],
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' }],
      // Indexing checked by the loop or the shape around it: noUncheckedIndexedAccess would otherwise cost a branch in every kernel.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', fetch: 'readonly', console: 'readonly', performance: 'readonly', Buffer: 'readonly', URL: 'readonly', WebAssembly: 'readonly', setTimeout: 'readonly', clearTimeout: 'readonly', setImmediate: 'readonly', globalThis: 'readonly', atob: 'readonly' } },
  },
);
