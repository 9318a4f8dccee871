import { fileURLToPath } from 'node:url';

// This module stays at the top of src: the build puts it into dist/main.js, from where the way is to be the same.
const inRepository = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

export const PACKAGE = inRepository('package.json');
export const MIGRATIONS = inRepository('prisma/migrations');
/** A thread runs what was built. */
export const LEDGER_THREAD = inRepository('dist/store/ledger-thread.cjs');
export const PLAYGROUND = inRepository('dist/playground');
