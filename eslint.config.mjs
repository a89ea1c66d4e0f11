import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'out/', 'coverage/', '**/generated/', 'wasm/', 'test/types/'] },
  js.configs.recommended,
  {
    files: ['src/**/*.ts', 'test/**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked, ...tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', destructuredArrayIgnorePattern: '^_' },
      ],
      // Indexing checked by the loop or the shape around it: noUncheckedIndexedAccess would otherwise cost a branch in every kernel.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    // In a page and its worker.
    files: ['examples/page/*.mjs', 'examples/recognise/sets/text-lines.mjs'],
    languageOptions: {
      globals: Object.fromEntries(
        ['document', 'addEventListener', 'postMessage', 'matchMedia', 'getComputedStyle', 'requestAnimationFrame']
          .concat(['ResizeObserver', 'Worker', 'Option', 'Blob', 'Response', 'DecompressionStream'])
          .map((name) => [name, 'readonly']),
      ),
    },
  },
  {
    files: ['**/*.mjs', '**/*.cjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        fetch: 'readonly',
        console: 'readonly',
        performance: 'readonly',
        Buffer: 'readonly',
        URL: 'readonly',
        WebAssembly: 'readonly',
        setTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        clearTimeout: 'readonly',
        setImmediate: 'readonly',
        globalThis: 'readonly',
        module: 'writable',
        require: 'readonly',
        atob: 'readonly',
      },
    },
  },
);
