import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

type Versions = Readonly<Record<string, string>>;
interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: true;
  readonly dev?: true;
  readonly devOptional?: true;
  readonly optional?: true;
  readonly hasInstallScript?: true;
  readonly dependencies?: Versions;
  readonly devDependencies?: Versions;
}

const manifest = JSON.parse(read('package.json')) as {
  readonly dependencies: Versions;
  readonly devDependencies: Versions;
  readonly overrides: Readonly<Record<string, string | Versions>>;
  readonly allowScripts?: unknown;
};
const { '': root, ...locked } = (JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> })
  .packages;
const packages = Object.entries(locked).map(([path, entry]) => ({
  name: path.replace(/^.*node_modules\//, ''),
  ...entry,
}));

/** What `npm ci --omit=dev --omit=optional` installs. */
const production = packages.filter(({ dev, devOptional, optional }) => !dev && !devOptional && !optional);

const EXACT = /^\d+\.\d+\.\d+(-[\w.-]+)?$/;

describe('the dependencies', () => {
  it('are pinned to one version each, also those of others that are overridden', () => {
    const overridden = Object.values(manifest.overrides).flatMap((version) =>
      typeof version === 'string' ? [version] : Object.values(version),
    );
    const named = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });

    expect(named.length).toBeGreaterThan(30);
    expect(named.filter(([, version]) => !EXACT.test(version))).toEqual([]);
    expect(overridden.filter((version) => !EXACT.test(version))).toEqual([]);
  });

  it('are locked as package.json has them', () => {
    expect(root).toMatchObject({ dependencies: manifest.dependencies, devDependencies: manifest.devDependencies });
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }))
      expect(locked[`node_modules/${name}`]?.version, name).toBe(version);
  });

  it('come from the registry, each with the hash of what was looked at', () => {
    // npm leaves the hash out of some that are for other platforms, and for development alone.
    const needed = packages.filter(({ dev, optional }) => !(dev && optional));
    expect(needed.filter(({ integrity }) => !integrity?.startsWith('sha512-')).map(({ name }) => name)).toEqual([]);
    const elsewhere = packages.filter(({ link, resolved }) => link || (resolved && !resolved.startsWith('https://')));
    expect(elsewhere.map(({ name }) => name)).toEqual([]);
  });

  it('run nothing when they are installed', () => {
    expect(read('.npmrc')).toMatch(/^ignore-scripts=true$/m);
    expect(manifest.allowScripts).toBeUndefined();
  });

  it('bring no engine, no database driver and no user interface into production', () => {
    const names = production.map(({ name }) => name);

    expect(names).toEqual(expect.arrayContaining(Object.keys(manifest.dependencies)));
    const unwanted = ['prisma', '@prisma/engines', '@prisma/dev', 'react', 'mysql2', 'typescript', 'playwright-core'];
    expect(names.filter((name) => unwanted.includes(name))).toEqual([]);
    expect(production.filter(({ hasInstallScript }) => hasInstallScript).map(({ name }) => name)).toEqual([
      '@apollo/protobufjs',
      '@photostructure/sqlite',
    ]);
  });
});
