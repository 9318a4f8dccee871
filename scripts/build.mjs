// Builds what is missing or stale, and nothing else: the Prisma client, the program, the playground.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from './lib/bundle.mjs';
import { filesUnder, removeAllBut } from './lib/files.mjs';
import { runSteps } from './lib/incremental.mjs';
import { isMain } from './lib/is-main.mjs';
import { BuildError, runTool } from './lib/run-tool.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const at = (...path) => join(root, ...path);
const playgroundPackage = '@graphql-yoga/render-graphiql';

/** The program file that a development dependency installs as `name`. */
function binaryOf(packageName, name) {
  const require = createRequire(import.meta.url);
  let manifest;
  try {
    manifest = require.resolve(`${packageName}/package.json`);
  } catch (cause) {
    throw new BuildError(`${packageName} is not installed: run "npm ci" first (with development dependencies)`, '', {
      cause,
    });
  }
  return join(dirname(manifest), require(manifest).bin[name]);
}

/** What the lock file says about one package, so that an unrelated update does not compress megabytes again. */
function lockedVersion(packageName) {
  const lock = JSON.parse(readFileSync(at('package-lock.json'), 'utf8'));
  return JSON.stringify(lock.packages?.[`node_modules/${packageName}`] ?? null);
}

/** The sources of a build script; declarations change nothing that it makes. */
const sourcesUnder = (folder) => filesUnder(folder).filter((file) => !file.endsWith('.d.mts'));

// The recipe is an input of what it makes.
const recipe = () => [at('scripts/build.mjs'), ...sourcesUnder(at('scripts/lib'))];
const schema = () => [at('prisma/schema.prisma'), at('prisma.config.ts'), at('package-lock.json')];

const prismaClient = {
  name: 'prisma client',
  inputs: () => [...recipe(), ...schema()],
  async run(signal) {
    const generated = at('src/generated/prisma');
    // CHECKPOINT_DISABLE: a build tells nobody that it runs, and waits for nobody's server.
    const env = { ...process.env, CHECKPOINT_DISABLE: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' };
    await runTool(binaryOf('prisma', 'prisma'), ['generate', '--no-hints'], {
      name: 'prisma generate',
      cwd: root,
      env,
      signal,
    });
    return filesUnder(generated);
  },
};

const program = {
  name: 'program',
  needs: prismaClient,
  // The generated client stands for its own inputs, which are here instead.
  inputs: () => [...recipe(), ...schema(), at('tsconfig.json'), ...filesUnder(at('src'), at('src/generated'))],
  async run(signal) {
    // A failed compile leaves the last good program whole; a good one leaves nothing of deleted sources.
    const options = ['-p', 'tsconfig.json', '--noEmitOnError', '--listEmittedFiles'];
    const pretty = ['--pretty', String(process.stderr.isTTY === true)];
    const tsc = binaryOf('typescript', 'tsc');
    const output = await runTool(tsc, [...options, ...pretty], { name: 'tsc', cwd: root, signal });
    const emitted = [...output.matchAll(/^TSFILE: (.+?)\r?$/gm)].map(([, file]) => resolve(root, file));
    const server = { program: at('dist/main.js'), format: 'esm' };
    const thread = { program: at('dist/store/ledger-thread.js'), format: 'cjs' };
    const bundled = await bundle([server, thread], root);
    const written = [...new Set([...emitted, ...bundled])];
    removeAllBut(written, at('dist'), [at('dist/.build'), at('dist/playground')]);
    return written;
  },
};

const playground = {
  name: 'playground',
  inputs: () => [...recipe(), ...sourcesUnder(at('scripts/playground'))],
  version: () => lockedVersion(playgroundPackage),
  async run() {
    const { buildPlayground } = await import('./playground/build-playground.mjs');
    return await buildPlayground(at('dist/playground'));
  },
};

/**
 * Builds what is missing or stale; resolves in milliseconds, and silently, when all is fresh. Safe beside another build.
 *
 * @param {{ force?: boolean, signal?: AbortSignal }} [options] `force` builds everything; `signal` stops the tools that run
 * @throws {BuildError} with the full output of the tool that failed
 */
export async function build({ force = false, signal } = {}) {
  await runSteps([prismaClient, program, playground], { root, state: at('dist/.build'), force, signal });
}

/** As {@link build}, for a command line: prints what went wrong and gives the exit code. */
export async function buildForCommandLine(options) {
  try {
    await build(options);
    return 0;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    process.stderr.write(`${error.message}\n${error.output}`);
    return 1;
  }
}

if (isMain(import.meta.url)) process.exitCode = await buildForCommandLine({ force: process.argv.includes('--force') });
