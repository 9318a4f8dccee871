import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * A copy of the built server whose ledger thread is bundled here, with one of its modules replaced or as it is: so there is no
 * switch in the product for what only a bench wants to leave out, and both copies are made in the same way.
 *
 * @param {string} directory of its own
 * @param {{ module: string, code: string } | null} replacement a source file, below src, and what stands in for it
 * @returns {Promise<string>} the program to start
 */
export async function copyProduct(directory, replacement) {
  const dist = join(directory, 'dist');
  mkdirSync(join(dist, 'store'), { recursive: true });
  for (const name of readdirSync(join(root, 'dist')).filter((name) => /^(main|chunk-.*)\.js(\.map)?$/.test(name))) {
    cpSync(join(root, 'dist', name), join(dist, name));
  }
  for (const name of ['node_modules', 'prisma', 'package.json', 'dist/playground']) {
    symlinkSync(join(root, name), join(directory, name));
  }
  const bundled = await rolldown({
    input: join(root, 'src/store/ledger-thread.ts'),
    cwd: root,
    platform: 'node',
    external: ['@photostructure/sqlite'],
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    plugins: replacement ? [replaced(replacement)] : [],
  });
  await bundled.write({ file: join(dist, 'store/ledger-thread.cjs'), format: 'cjs' });
  await bundled.close();
  return join(dist, 'main.js');
}

function replaced({ module, code }) {
  const file = join(root, 'src', module);
  let isReplaced = false;
  return {
    name: 'replaced-module',
    load(id) {
      if (id !== file) return null;
      isReplaced = true;
      return { code, moduleSideEffects: false };
    },
    buildEnd() {
      // Else the bench would compare the product with itself.
      if (!isReplaced) throw new Error(`nothing imports ${module} any more`);
    },
  };
}
