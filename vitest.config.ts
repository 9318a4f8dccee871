import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Vite compiles TypeScript with oxc, which takes decorators from the tsconfig that includes a file: state it for all of them.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: false } },
  // Vite would load graphql's .mjs build beside the .js one that packages get from Node: "another module or realm".
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
    // To load the program anew for each file takes longer than most files: none leaves anything behind in a module.
    isolate: false,
    // Most tests wait for sockets, processes and the disk: two cores are busy with four files at once.
    maxWorkers: 4,
    testTimeout: 20_000,
    hookTimeout: 30_000,
    globalSetup: ['test/support/build-once.ts'],
  },
});
