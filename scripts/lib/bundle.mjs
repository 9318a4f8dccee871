import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BuildError } from './run-tool.mjs';

/**
 * Not bundled: SQLite finds its native part beside its own file, and class-validator is nothing of ours: type-graphql
 * would load it for `validate: true`.
 */
const EXTERNAL = ['@photostructure/sqlite', 'class-validator'];

/**
 * Puts each of these compiled programs and all that it imports into the one file, in place of what the compiler wrote, and
 * what it imports on demand into chunks beside the first.
 *
 * @param {string[]} programs entry files
 * @param {string} root the repository
 * @returns {Promise<string[]>} the files written
 */
export async function bundle(programs, root) {
  // Here and not above: a build that is fresh need not load it.
  const { rolldown } = await import('rolldown');
  const written = await Promise.all(programs.map((program) => bundleOne(program, { root, rolldown })));
  return written.flat();
}

async function bundleOne(program, { root, rolldown }) {
  const folder = dirname(program);
  const warnings = [];
  let bundled;
  try {
    bundled = await rolldown({
      input: program,
      cwd: root,
      platform: 'node',
      external: EXTERNAL,
      plugins: [compiledModules(root)],
      onLog: (_level, { message }) => warnings.push(message),
    });
    const { output } = await bundled.write({
      dir: folder,
      entryFileNames: '[name].js',
      chunkFileNames: 'chunk-[name].js',
      // What a program is read for is in its sources; licences stay.
      comments: { jsdoc: false },
      sourcemap: true,
      sourcemapExcludeSources: true,
    });
    if (warnings.length > 0) throw new Error(warnings.join('\n'));
    return output.map(({ fileName }) => join(folder, fileName));
  } catch (error) {
    throw new BuildError(`${program} cannot be bundled`, `${error.message}\n`, { cause: error });
  } finally {
    await bundled?.close();
  }
}

/** Hands the compiler's source maps on, so that a stack leads to src. */
function compiledModules(root) {
  const ours = join(root, 'dist/');
  return {
    name: 'compiled-modules',
    async load(id) {
      if (!id.startsWith(ours)) return null;
      const [code, map] = await Promise.all([readFile(id, 'utf8'), readFile(`${id}.map`, 'utf8')]);
      return { code, map };
    },
  };
}
