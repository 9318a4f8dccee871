import { build } from '../../scripts/build.mjs';

/**
 * Builds once before all tests: those in `test/e2e/` run the built server.
 *
 * With `SKIP_BUILD=1` they run whatever was built before, for working on one part while another does not compile.
 */
export async function setup(): Promise<void> {
  if (process.env.SKIP_BUILD === '1') return;
  await build();
}
