import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import {
  type Import,
  importsOf,
  parse,
  readTree,
  type SourceTree,
  valueClosure,
  walk,
} from './support/import-graph.js';

const MAX_LINES = 300;

interface Rule {
  /** What it may `import type`: folders end with `/`. */
  readonly types?: readonly string[];
  /** What it may import for use at run time as well. */
  readonly values?: readonly string[];
}

/**
 * DESIGN §6: who may import whom. A folder may always import its own files and `errors.ts`; what is not here is forbidden.
 *
 * "Types only" has exceptions, each a single file: modules that are pure (constants, arithmetic, a clock that is read) and
 * belong to the vocabulary that the folders share. That they are pure is tested below, so that a rule cannot grow a hole.
 */
const RULES: Readonly<Record<string, Rule>> = {
  'guest-session/': {},
  // deadline.ts: a token fetch that many callers share needs a deadline of its own. single-flight.ts: so does one order to end.
  'cxone/': {
    types: ['guest-session/', 'config.ts'],
    values: [
      'guest-session/deadline.ts',
      'guest-session/single-flight.ts',
      // What anybody's answer is read with.
      'outbound/retry-after.ts',
      'outbound/redact.ts',
    ],
  },
  'fraud/': { types: ['guest-session/', 'config.ts'], values: ['outbound/redact.ts'] },
  'store/': {
    types: ['guest-session/', 'config.ts'],
    values: [
      'generated/',
      // A webhook is written in the transaction of its event, wherever that is told.
      'crm/webhook-body.ts',
      'paths.ts',
      'guest-session/actor.ts',
      // What an outcome means for the books is the spine's to say, and the ledger's to write.
      'guest-session/attempt-ending.ts',
      // Request ids begin with the time, and pages go by them; events are paged by type.
      'guest-session/request-id.ts',
      'guest-session/session-event.ts',
      // What an idempotency key is held to.
      'guest-session/believed-connection.ts',
      // Leases must not be moved by the wall clock.
      'guest-session/steady-clock.ts',
    ],
  },
  // session-event.ts: which events a filter lets through. steady-clock.ts: how old an attempt is, whatever the wall clock says.
  'lifecycle/': {
    types: ['guest-session/', 'config.ts'],
    values: ['guest-session/session-event.ts', 'guest-session/steady-clock.ts'],
  },
  // session-event.ts: how events are called on the wire. retry-after.ts: a header of HTTP, which others read too.
  'crm/': {
    types: ['guest-session/', 'store/', 'config.ts'],
    values: ['guest-session/session-event.ts', 'outbound/retry-after.ts'],
  },
  'graphql/': {
    types: [
      'guest-session/',
      'store/',
      'lifecycle/',
      'crm/',
      'config.ts',
      'access-settings.ts',
      'transport-settings.ts',
    ],
    values: [
      'access/',
      // Of whom nothing is known, where nobody tells; and which sessions a caller may know of.
      'guest-session/believed-connection.ts',
      'guest-session/may-see.ts',
      // The enums of the API are the constants of the parts that they come from.
      'guest-session/ports.ts',
      'guest-session/session-event.ts',
      'store/audit-chain.ts',
      'store/delivery-status.ts',
      // Arithmetic on what the readers give.
      'store/page.ts',
      'store/latency-histogram.ts',
      'store/metric-bucket.ts',
    ],
  },
  'http/': { types: ['graphql/'], values: ['access/'] },
  // Nothing of ours but the wire's types, so that it cannot share our bugs.
  'sandbox/': { types: ['cxone/wire.ts'] },
  'outbound/': {},
  // key-formats.ts: the form of keys, for the file of them that is followed. The others: what proxies say of a connection.
  'access/': {
    types: ['access-settings.ts', 'proxy-settings.ts', 'guest-session/'],
    values: ['key-formats.ts', 'loopback.ts', 'guest-session/believed-connection.ts', 'guest-session/country-codes.ts'],
  },
  // Goes into browsers.
  'client/': {},
  'errors.ts': {},
  'config.ts': {
    types: ['guest-session/'],
    values: [
      'access-settings.ts',
      'transport-settings.ts',
      'setting-formats.ts',
      'setting-contradictions.ts',
      'secrets.ts',
    ],
  },
  'transport-settings.ts': { values: ['setting-formats.ts'] },
  'access-settings.ts': { values: ['key-formats.ts', 'proxy-settings.ts', 'setting-formats.ts', 'token-formats.ts'] },
  'setting-contradictions.ts': {
    types: ['access-settings.ts'],
    values: ['key-formats.ts', 'loopback.ts', 'token-formats.ts'],
  },
  'key-formats.ts': {},
  'proxy-settings.ts': {},
  'token-formats.ts': { values: ['key-formats.ts', 'loopback.ts', 'setting-formats.ts'] },
  'loopback.ts': {},
  'secrets.ts': {},
  'setting-formats.ts': { values: ['guest-session/session-event.ts'] },
  'paths.ts': {},
  'teardown.ts': {},
  'canonical-json.ts': {},
  'record-start.ts': { types: ['config.ts', 'store/'], values: ['canonical-json.ts', 'paths.ts'] },
  'crash-points.ts': { types: ['guest-session/', 'config.ts'] },
  'log.ts': { types: ['config.ts'] },
  'start-message.ts': { types: ['app.ts'] },
  'app.ts': { values: [''] },
  'engine.ts': { values: [''] },
  'main.ts': { values: ['app.ts', 'config.ts', 'start-message.ts', 'log.ts'] },
  'session-initiator.ts': { types: [''], values: ['engine.ts', 'config.ts'] },
  'rotate-keys.ts': { types: ['config.ts'], values: ['config.ts', 'store/'] },
  'archive-audit-trail.ts': { types: [''], values: ['config.ts', 'paths.ts', 'store/'] },
  'demo.ts': { types: [''], values: ['app.ts', 'config.ts', 'start-message.ts', 'log.ts'] },
};

/** The single files that a folder may import at run time though the rest of theirs is types only. */
const PURE_MODULES = [
  ...new Set(
    Object.values(RULES)
      .flatMap(({ values = [] }) => values)
      .filter((path) => /\/.+\.ts$/.test(path)),
  ),
];

const part = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/') + 1) : path);
const isGenerated = (path: string): boolean => path.startsWith('generated/');

/** What breaks the rule of one part. */
function forbiddenImports(imports: readonly Import[], owner: string): string[] {
  const { types = [], values = [] } = RULES[owner] ?? {};
  const within = (places: readonly string[], path: string) =>
    places.some((place) => place === path || place === '' || (place.endsWith('/') && path.startsWith(place)));
  return imports
    .filter(({ from, isPackage }) => !isPackage && part(from) === owner)
    .filter(({ to, isTypeOnly }) => {
      if (to === 'errors.ts' || (owner.endsWith('/') && to.startsWith(owner))) return false;
      return !(within(values, to) || (isTypeOnly && within(types, to)));
    })
    .map(({ from, to, isTypeOnly }) => `${from} imports ${isTypeOnly ? 'types of ' : ''}${to}`);
}

const partsWithoutRule = (tree: SourceTree): string[] => [
  ...new Set([...tree.keys()].map(part).filter((owner) => owner !== 'generated/' && !RULES[owner])),
];

const importersOf = (imports: readonly Import[], isTarget: (path: string) => boolean): string[] => [
  ...new Set(imports.filter(({ from, to }) => isTarget(to) && !isTarget(from)).map(({ from }) => from)),
];

/** Files that read the environment, in whatever way. */
const readersOfEnvironment = (tree: SourceTree): string[] =>
  [...tree.keys()].filter((path) => {
    let reads = importsOf(new Map([[path, tree.get(path)!]])).some(({ to }) => /^(node:)?process$/.test(to));
    walk(parse(path, tree.get(path)!), (node) => {
      const isProcess = (of: ts.Node) => /^(globalThis\.|global\.)?process$/.test(of.getText());
      if (ts.isPropertyAccessExpression(node) && node.name.text === 'env' && isProcess(node.expression)) reads = true;
      if (ts.isElementAccessExpression(node) && isProcess(node.expression)) reads = true;
      if (ts.isVariableDeclaration(node) && node.initializer && isProcess(node.initializer)) reads = true;
    });
    return reads;
  });

const defaultExporters = (tree: SourceTree): string[] =>
  [...tree.keys()].filter((path) => {
    let found = false;
    walk(parse(path, tree.get(path)!), (node) => {
      if (ts.isExportAssignment(node)) found = true;
      if (node.kind === ts.SyntaxKind.DefaultKeyword && ts.isSourceFile(node.parent.parent)) found = true;
      if (ts.isExportSpecifier(node) && node.name.text === 'default') found = true;
    });
    return found;
  });

const barrels = (tree: SourceTree): string[] =>
  [...tree].filter(([path, text]) => /(^|\/)index\.ts$/.test(path) || /^export \* /m.test(text)).map(([path]) => path);

const longFiles = (tree: SourceTree): string[] =>
  [...tree].filter(([, text]) => text.trimEnd().split('\n').length > MAX_LINES).map(([path]) => path);

const source = readTree(fileURLToPath(new URL('../src', import.meta.url)));
const written: SourceTree = new Map([...source].filter(([path]) => !isGenerated(path)));
const imports = importsOf(written);

describe('the import rules of DESIGN §6', () => {
  it.each(Object.keys(RULES))('hold for %s', (owner) => {
    expect(forbiddenImports(imports, owner)).toEqual([]);
  });

  it('know every folder and every file of the root', () => {
    expect(partsWithoutRule(source)).toEqual([]);
    expect(written.size).toBeGreaterThan(50);
  });

  it('let only the entry points import app.ts, and app.ts and the library engine.ts', () => {
    expect(importersOf(imports, (path) => path === 'app.ts').sort()).toEqual([
      'demo.ts',
      'main.ts',
      'start-message.ts',
    ]);
    expect(importersOf(imports, (path) => path === 'engine.ts').sort()).toEqual(['app.ts', 'session-initiator.ts']);
  });

  it('let only the store know the generated client', () => {
    expect(
      importersOf(imports, isGenerated)
        .map(part)
        .filter((owner) => owner !== 'store/'),
    ).toEqual([]);
  });

  it.each(PURE_MODULES)('make an exception for %s, which is pure', (path) => {
    const reached = [...valueClosure(path, imports)];

    // Nothing but hashing and random ids: no database, no network, no file.
    expect(reached.filter((to) => !source.has(to) && !['node:crypto', 'uuid'].includes(to))).toEqual([]);
    expect(
      reached.filter(
        (to) => source.has(to) && part(to) !== part(path) && to !== 'errors.ts' && !PURE_MODULES.includes(to),
      ),
    ).toEqual([]);
  });

  it('keep GraphQL, Prisma, HTTP and the file system out of the spine', () => {
    const packages = imports.filter(({ from, isPackage }) => isPackage && part(from) === 'guest-session/');

    expect([...new Set(packages.map(({ to }) => to))].filter((to) => to !== 'uuid')).toEqual([]);
  });

  it('let a browser have client/ with nothing else: no package, no part of Node, no file of ours', () => {
    const reached = [...valueClosure('client/resumable-session-events.ts', imports)];

    expect(reached.length).toBeGreaterThan(1);
    expect(reached.filter((to) => part(to) !== 'client/')).toEqual([]);
  });
});

describe('the source', () => {
  it('reads process.env in config.ts alone', () => {
    expect(readersOfEnvironment(written)).toEqual(['config.ts']);
  });

  it('has no default exports', () => {
    expect(defaultExporters(written)).toEqual([]);
  });

  it('has no barrels', () => {
    expect(barrels(written)).toEqual([]);
  });

  it(`has no file above ${MAX_LINES} lines`, () => {
    expect(longFiles(written)).toEqual([]);
  });
});

describe('the checker itself', () => {
  const tree = (files: Record<string, string>): SourceTree => new Map(Object.entries(files));

  it.each([
    ["import { open } from '../store/open-database.js';", 'store/open-database.ts'],
    ["import type { Page } from '../store/page.js';", 'types of store/page.ts'],
    ["import { type Page } from '../store/page.js';", 'types of store/page.ts'],
    ["export { open } from '../store/open-database.js';", 'store/open-database.ts'],
    ["export * from '../store/page.js';", 'store/page.ts'],
    ["const page = await import('../store/page.js');", 'store/page.ts'],
    ["let page: import('../store/page.js').Page;", 'types of store/page.ts'],
    ["import page = require('../store/page.js');", 'store/page.ts'],
    ["import '../store/page.js';", 'store/page.ts'],
    ["import type { Config } from '../config.js';", 'types of config.ts'],
  ])('finds what the spine may not import: %s', (line, found) => {
    expect(forbiddenImports(importsOf(tree({ 'guest-session/step.ts': line })), 'guest-session/')).toEqual([
      `guest-session/step.ts imports ${found}`,
    ]);
  });

  it('tells types from values', () => {
    const files = tree({
      'crm/types.ts': "import type { Outbox } from '../store/outbox.js';",
      'crm/inline.ts': "import { type Outbox, type Row } from '../store/outbox.js';",
      'crm/value.ts': "import { Outbox } from '../store/outbox.js';",
      'crm/mixed.ts': "import { type Row, Outbox } from '../store/outbox.js';",
      'crm/whole.ts': "import * as outbox from '../store/outbox.js';",
      'crm/effect.ts': "import {} from '../store/outbox.js';",
    });

    expect(forbiddenImports(importsOf(files), 'crm/')).toEqual([
      'crm/value.ts imports store/outbox.ts',
      'crm/mixed.ts imports store/outbox.ts',
      'crm/whole.ts imports store/outbox.ts',
      'crm/effect.ts imports store/outbox.ts',
    ]);
  });

  it('opens a single file and not its folder', () => {
    const files = tree({
      'cxone/good.ts': "import { Deadline } from '../guest-session/deadline.js';",
      'cxone/bad.ts': "import { validateRequest } from '../guest-session/validate-request.js';",
    });

    expect(forbiddenImports(importsOf(files), 'cxone/')).toEqual([
      'cxone/bad.ts imports guest-session/validate-request.ts',
    ]);
  });

  it('is not taken in by a folder whose name begins like another', () => {
    const files = tree({ 'http/server.ts': "import { x } from '../access-control/x.js';" });

    expect(forbiddenImports(importsOf(files), 'http/')).toEqual(['http/server.ts imports access-control/x.ts']);
  });

  it('lets everybody have errors.ts and their own folder, and sees what is in strings for what it is', () => {
    const files = tree({
      'fraud/scorer.ts': `
        import { AttemptError } from '../errors.js';
        import { helper } from './helper.js';
        const text = "import { x } from '../store/page.js'"; // import '../store/page.js'`,
    });

    expect(forbiddenImports(importsOf(files), 'fraud/')).toEqual([]);
  });

  it('finds a folder without a rule', () => {
    expect(partsWithoutRule(tree({ 'utils/x.ts': '', 'helpers.ts': '', 'store/x.ts': '' }))).toEqual([
      'utils/',
      'helpers.ts',
    ]);
  });

  it('finds who imports app.ts and the generated client', () => {
    const files = tree({
      'graphql/x.ts': "import type { App } from '../app.js';",
      'crm/x.ts': "import type { Prisma } from '../generated/prisma/client.js';",
      'generated/prisma/client.ts': "import * as all from './models.js';",
    });

    expect(importersOf(importsOf(files), (path) => path === 'app.ts')).toEqual(['graphql/x.ts']);
    expect(importersOf(importsOf(files), isGenerated)).toEqual(['crm/x.ts']);
  });

  it.each([
    'const port = process.env.PORT;',
    'const { env } = process;',
    "const port = process['env'].PORT;",
    "import { env } from 'node:process';",
    'const port = globalThis.process.env.PORT;',
  ])('finds a reader of the environment: %s', (line) => {
    expect(readersOfEnvironment(tree({ 'x.ts': line, 'y.ts': 'process.exit(1); // process.env' }))).toEqual(['x.ts']);
  });

  it.each([
    'export default class {}',
    'export default function run() {}',
    'export default 1;',
    'const x = 1; export { x as default };',
  ])('finds a default export: %s', (line) => {
    expect(defaultExporters(tree({ 'x.ts': line, 'y.ts': 'switch (1) { default: }' }))).toEqual(['x.ts']);
  });

  it('finds barrels and long files', () => {
    const files = tree({
      'a/index.ts': '',
      'b/all.ts': "export * from './b.js';",
      'c.ts': 'x\n'.repeat(MAX_LINES + 1),
      'd.ts': 'x\n'.repeat(MAX_LINES),
    });

    expect(barrels(files)).toEqual(['a/index.ts', 'b/all.ts']);
    expect(longFiles(files)).toEqual(['c.ts']);
  });

  it('follows what a module needs at run time, through other modules', () => {
    const files = importsOf(
      tree({
        'a.ts': "import { b } from './b.js'; import type { D } from './d.js';",
        'b.ts': "import './c.js'; import { readFileSync } from 'node:fs';",
      }),
    );

    expect([...valueClosure('a.ts', files)]).toEqual(['a.ts', 'b.ts', 'c.ts', 'node:fs']);
  });
});
