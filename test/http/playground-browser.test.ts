import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fastify } from 'fastify';
import { buildSchema, graphql } from 'graphql';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operations } from '../../scripts/playground/operations.mjs';
import { registerPlayground } from '../../src/http/playground.js';

const CHROMIUM = '/usr/bin/chromium';
const QUIET = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
const OFFLINE = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];

const directory = fileURLToPath(new URL('../../dist/playground', import.meta.url));
const nameOf = (operation: string) => /^(?:query|mutation|subscription) (\w+)/m.exec(operation)![1]!;
const names = operations.map(({ query }) => nameOf(query));

/** As much of the contract as GraphiQL needs to tell operations apart. */
const schema = buildSchema(`
  input CreateGuestSessionInput { guestId: String! }
  enum SessionEventType { SESSION_INITIATED }
  type Payload { requestId: ID! }
  type Event { cursor: String! }
  type Query { ok: Boolean }
  type Mutation { createGuestSession(input: CreateGuestSessionInput!): Payload! }
  type Subscription { sessionEvents(after: String, types: [SessionEventType!], guestId: String): Event! }
`);

interface SentOperation {
  readonly operationName?: string;
  readonly query: string;
  readonly variables?: unknown;
}

interface OpenPage {
  readonly page: Page;
  /** Whom it has asked. */
  readonly hosts: ReadonlySet<string>;
  /** What its policy has forbidden. */
  readonly violations: readonly string[];
}

describe.skipIf(!existsSync(CHROMIUM))(`the playground in a browser (needs ${CHROMIUM})`, () => {
  const app = fastify();
  const sent: SentOperation[] = [];
  let origin: string;
  let browser: Browser;
  /** For the tests that leave no trace in it but the tab that is open: to load the editor takes seconds. */
  let shared: OpenPage;

  beforeAll(async () => {
    await registerPlayground(app, { directory });
    // Answers only for its schema: what the page sends is all that these tests look at.
    app.post<{ Body: SentOperation }>('/graphql', async ({ body }) => {
      if (body.operationName === 'IntrospectionQuery') return await graphql({ schema, source: body.query });
      sent.push(body);
      return { data: {} };
    });
    origin = await app.listen({ host: '127.0.0.1', port: 0 });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: [...QUIET, ...OFFLINE] });
    shared = await open();
  });
  afterAll(async () => {
    await browser?.close();
    await app.close();
  });

  /** Opens the page, and notes every address it asks for and everything that its policy forbids. */
  async function open(): Promise<OpenPage> {
    const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
    const hosts = new Set<string>();
    const violations: string[] = [];
    context.on('request', (asked) => {
      const { protocol, hostname } = new URL(asked.url());
      if (protocol !== 'data:') hosts.add(hostname || asked.url());
    });
    const page = await context.newPage();
    await page.exposeFunction('noteViolation', (what: string) => violations.push(what));
    await page.addInitScript(`addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI, sample }) =>
      noteViolation([effectiveDirective, blockedURI, sample].join(' ')));`);
    page.on('websocket', (socket) => hosts.add(new URL(socket.url()).hostname));
    page.on('console', (message) => {
      if (/content security policy|refused to/i.test(message.text())) violations.push(message.text());
    });
    page.on('pageerror', (error) => violations.push(String(error)));
    await page.goto(`${origin}/playground`);
    await page.locator('.graphiql-query-editor .view-line').first().waitFor();
    return { page, hosts, violations };
  }

  it('shows an editor and a tab for each job, asks no other host and breaks no policy', async () => {
    const { page, hosts, violations } = shared;
    const workers = () => page.workers().map((worker) => worker.url().replace(/.*\/|\.\w+\.js$/g, ''));
    await expect.poll(workers).toEqual(expect.arrayContaining(['graphql-worker', 'json-worker', 'editor-worker']));

    expect(await page.locator('.graphiql-tab-button').allInnerTexts()).toEqual(names);
    expect(await page.locator('.graphiql-query-editor').textContent()).toContain('mutation');
    expect(violations).toEqual([]);
    expect([...hosts]).toEqual(['127.0.0.1']);
  });

  it('opens the same tabs again after an edit and a reload, and keeps the address as it was', async () => {
    const { page } = await open();
    await page.locator('.graphiql-query-editor .view-lines').click();
    await page.keyboard.type('# ');
    // GraphiQL stores an edit half a second after it.
    await page.waitForTimeout(1_000);
    await page.reload();
    await page.locator('.graphiql-query-editor .view-line').first().waitFor();

    expect(await page.locator('.graphiql-tab-button').allInnerTexts()).toEqual(names);
    expect(page.url()).toBe(`${origin}/playground`);
    await page.context().close();
  });

  async function run(page: Page, name: string): Promise<void> {
    await page.getByRole('tab', { name }).click();
    // GraphiQL reads the operation's name from the editor half a second after it was filled.
    await page.waitForTimeout(1_000);
    // By its name, because while an operation runs the same button stops it.
    await page.getByRole('button', { name: /^Execute query/ }).click();
  }

  it('runs the tab that is clicked, with its variables', async () => {
    const { page } = shared;
    const clicked = ['OpenRefused', 'VerifyAuditTrail', 'OpenSession'];
    for (const name of clicked) {
      await run(page, name);
      await expect.poll(() => sent.at(-1)?.operationName).toBe(name);
    }

    const wanted = clicked.map((name) => operations[names.indexOf(name)]!.variables);
    expect(sent.map(({ variables }) => variables ?? {})).toEqual(wanted);
    expect(await page.locator('.graphiql-tab-button').allInnerTexts()).toEqual(names);
  });

  it('subscribes over a socket to the same address', async () => {
    const { page, violations } = shared;
    const socket = page.waitForEvent('websocket');
    await run(page, 'WatchSessions');

    expect((await socket).url()).toBe(`${origin.replace('http', 'ws')}/graphql`);
    expect(violations).toEqual([]);
  });

  it('needs no policy that lets in styles from markup, whatever one does in it', async () => {
    const { page, violations } = shared;
    page.setDefaultTimeout(5_000);
    const header = async (path: string) => (await fetch(origin + path)).headers.get('content-security-policy');
    for (const path of ['/playground', '/playground/missing'])
      expect(await header(path)).not.toContain('unsafe-inline');

    const query = page.locator('.graphiql-query-editor');
    await page.getByRole('button', { name: 'New tab' }).click();
    await query.locator('.view-lines').click();
    await page.keyboard.type('{ o');
    await page.keyboard.press('Control+Space');
    await query.locator('.suggest-widget.visible .monaco-list-row', { hasText: 'ok' }).first().waitFor();
    await page.keyboard.press('Escape');
    await query.locator('.view-lines').click({ button: 'right' });
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    await page.locator('.graphiql-doc-explorer a', { hasText: 'Query' }).click();
    await page.getByRole('button', { name: 'Open settings dialog' }).click();
    for (const theme of ['Dark', 'Light']) {
      await page.getByRole('button', { name: theme }).click();
      await page.locator(`body.graphiql-${theme.toLowerCase()}`).waitFor();
    }
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
    // What the editor places by its markup stands where it should: the lines below each other.
    await page.getByRole('tab', { name: 'OpenSession' }).click();
    await query.locator('.view-line', { hasText: 'mutation' }).waitFor();
    const tops = await query.locator('.view-line').evaluateAll((lines) => lines.map((line) => line.style.top));
    expect(new Set(tops).size).toBe(tops.length);
    await page.getByRole('button', { name: 'Close Tab' }).last().click();

    expect(violations).toEqual([]);
  });
});
