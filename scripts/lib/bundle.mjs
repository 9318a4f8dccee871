import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BuildError } from './run-tool.mjs';

/**
 * Not bundled: SQLite finds its native part beside its own file, and class-validator is nothing of ours: type-graphql
 * would load it for `validate: true`.
 */
const EXTERNAL = ['@photostructure/sqlite', 'class-validator'];

/**
 * Puts each of these compiled programs and all that it imports into one file, and what it imports on demand into chunks beside
 * the first. An ES module takes the place of what the compiler wrote. A CommonJS module, `.cjs`, lies beside that: a thread
 * starts faster with one, since each has to load its own loader of ES modules.
 *
 * @param {{ program: string, format: 'esm' | 'cjs' }[]} programs entry files
 * @param {string} root the repository
 * @returns {Promise<string[]>} the files written
 */
export async function bundle(programs, root) {
  // Here and not above: a build that is fresh need not load it.
  const { rolldown } = await import('rolldown');
  const written = await Promise.all(
    programs.map(({ program, format }) => bundleOne(program, { format, root, rolldown })),
  );
  return written.flat();
}

async function bundleOne(program, { format, root, rolldown }) {
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
      format,
      entryFileNames: format === 'cjs' ? '[name].cjs' : '[name].js',
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
