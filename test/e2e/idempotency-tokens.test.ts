import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { StartupError } from '../../src/errors.js';
import { GuestVault } from '../../src/store/guest-vault.js';
import { SqliteConnection } from '../../src/store/sqlite-connection.js';
import { booksOf } from '../guest-session/books.js';
import { eventually } from '../support/eventually.js';
import { inputFor, type Network, OPEN, open, startNetwork } from '../support/network.js';
import { MASTER_KEYS } from '../support/opened-connection.js';

const keyed = () => ({ ...inputFor(), idempotencyKey: randomUUID() });

/** A database that several servers use, one after the other. */
function sharedDatabase(): { databaseUrl: string; path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'tokens-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'shared.db');
  return { databaseUrl: `file:${path}`, path };
}

const newKey = () => randomBytes(32).toString('base64');

/** All that is on the disk of a database. */
const bytesOf = (path: string): Buffer =>
  Buffer.concat(
    ['', '-wal', '-shm']
      .map((suffix) => path + suffix)
      .filter((file) => existsSync(file))
      .map((file) => readFileSync(file)),
  );

function expectNothingOf(token: string, bytes: Buffer): void {
  expect(token).toMatch(/^ctk_.{40}/);
  const [, hex = ''] = token.split('_');
  for (const form of [token, hex, hex.slice(0, 24), Buffer.from(token).toString('base64').slice(0, 40)]) {
    expect(bytes.includes(form)).toBe(false);
  }
  expect(bytes.includes(Buffer.from(hex, 'hex'))).toBe(false);
}

/** What the books keep of a session's token. */
function storedToken(network: Network): string | null | undefined {
  const database = new SqliteConnection(network.app.engine.databasePath, { readOnly: true });
  try {
    return database.get<{ clientToken: string | null }>(
      'SELECT "clientToken" FROM "IdempotencyKey" WHERE "state" = \'SUCCEEDED\'',
    )?.clientToken;
  } finally {
    database.close();
  }
}

const END = 'mutation ($id: ID) { endGuestSession(input: { id: $id }) { session { status } userErrors { code } } }';

describe('the client token', () => {
  test('is nowhere on the disk, neither while the server runs nor after it', async () => {
    const { databaseUrl, path } = sharedDatabase();
    const network = await startNetwork({ databaseUrl });
    const input = keyed();
    const { clientToken } = await open(network, input);
    expect((await open(network, input)).clientToken).toBe(clientToken);

    const running = bytesOf(path);
    expect(running.includes('SESSION_INITIATED')).toBe(true); // these are the right files, and they have the row
    expect(running.includes(input.idempotencyKey)).toBe(false);
    expectNothingOf(clientToken, running);
    await network[Symbol.asyncDispose]();
    expectNothingOf(clientToken, bytesOf(path));
    expect(network.logLines.join('\n')).not.toContain(clientToken);
  });

  test('is not kept at all where no key can ask for it again', async () => {
    const network = await startNetwork();
    await open(network);
    expect(storedToken(network)).toBeUndefined();
  });

  test.each(['ended by us', 'ended by an agent', 'expired'])(
    'is purged when its session is %s, and the replay says how it stands',
    async (how) => {
      const network = await startNetwork({ cxone: { sessionTtlSeconds: how === 'expired' ? 1 : 3600 } });
      const input = keyed();
      const first = await open(network, input);
      expect(storedToken(network)).toEqual(expect.any(String));

      if (how === 'ended by us') await network.graphql(END, { id: first.session.id });
      if (how === 'ended by an agent') await endAtCxone(network, first.session);
      const status = how === 'expired' ? 'EXPIRED' : 'ENDED';
      await eventually(async () => (await booksOf(network, input.guestId)).sessions.some((it) => it.status === status));

      expect(storedToken(network)).toBeNull();
      network.cxone.reset();
      expect(await open(network, input)).toMatchObject({
        requestId: first.requestId,
        eventCursor: first.eventCursor,
        session: { id: first.session.id, sessionId: first.session.sessionId, status },
        clientToken: null,
        replayed: true,
        userErrors: [],
      });
      expect(network.cxone.calls).toEqual([]);
    },
  );

  /** We only notice that when we next look at this guest. */
  async function endAtCxone(network: Network, { sessionId, guestId }: { sessionId: string; guestId: string }) {
    network.cxone.endSession(sessionId);
    const database = new SqliteConnection(network.app.engine.databasePath);
    onTestFinished(() => database.close());
    database.run('UPDATE "GuestSession" SET "createdAt" = "createdAt" - 60000'); // a session that is young is not missed
    network.cxone.addSession(guestId);
    expect((await open(network, inputFor(guestId))).userErrors).toEqual([]);
  }
});

describe('after a change of ENCRYPTION_KEY', () => {
  test('what older keys have encrypted is replayed, and the same input is no conflict', async () => {
    const { databaseUrl } = sharedDatabase();
    const keys = [newKey(), newKey(), newKey()];
    const opened: { input: ReturnType<typeof keyed>; clientToken: string; sessionId: string }[] = [];
    for (let age = 0; age < keys.length; age += 1) {
      const env = { ENCRYPTION_KEY: keys[age]!, ENCRYPTION_KEYS_OLD: keys.slice(0, age).reverse().join(', ') };
      const network = await startNetwork({ databaseUrl, env });
      for (const { input, clientToken, sessionId } of opened) {
        expect(await open(network, input)).toMatchObject({ replayed: true, clientToken, session: { sessionId } });
        expect((await open(network, { ...input, crmId: 'another' })).userErrors).toMatchObject([
          { code: 'IDEMPOTENCY_CONFLICT' },
        ]);
      }
      expect(network.cxone.calls).toEqual([]);
      const input = keyed();
      const { clientToken, session, userErrors } = await open(network, input);
      expect(userErrors).toEqual([]);
      opened.push({ input, clientToken, sessionId: session.sessionId });
      await network[Symbol.asyncDispose]();
    }
  });

  test('without the old key the server does not start, and says what to do', async () => {
    const { databaseUrl } = sharedDatabase();
    const [oldKey, key] = [newKey(), newKey()];
    const input = keyed();
    const before = await startNetwork({ databaseUrl, env: { ENCRYPTION_KEY: oldKey } });
    const { clientToken, session } = await open(before, input);
    await before[Symbol.asyncDispose]();

    const refusal = await startNetwork({ databaseUrl, env: { ENCRYPTION_KEY: key } }).catch((error: Error) => error);
    expect(refusal).toBeInstanceOf(StartupError);
    expect((refusal as Error).message).toContain('ENCRYPTION_KEYS_OLD');
    for (const secret of [oldKey, key, clientToken]) expect((refusal as Error).message).not.toContain(secret);

    const withBoth = await startNetwork({ databaseUrl, env: { ENCRYPTION_KEY: key, ENCRYPTION_KEYS_OLD: oldKey } });
    const { sessionId } = session;
    expect(await open(withBoth, input)).toMatchObject({ replayed: true, clientToken, session: { sessionId } });
  });

  test('a token that was tampered with is an internal error, and no other token', async () => {
    const { databaseUrl, path } = sharedDatabase();
    const inputs = [keyed(), keyed()];
    const before = await startNetwork({ databaseUrl });
    for (const input of inputs) await open(before, input);
    await before[Symbol.asyncDispose]();
    const database = new SqliteConnection(path);
    const vault = GuestVault.open(database, MASTER_KEYS);
    // The token of one session in the place of another's.
    database.run(
      'UPDATE "IdempotencyKey" SET "clientToken" = (SELECT "clientToken" FROM "IdempotencyKey" WHERE "key" = ?) WHERE "key" = ?',
      ...inputs.map(({ idempotencyKey }) => vault.blind('idempotency key', idempotencyKey)),
    );
    database.close();

    const after = await startNetwork({ databaseUrl });
    expect(await open(after, inputs[0])).toMatchObject({ replayed: true, clientToken: expect.stringMatching(/^ctk_/) });
    const answer = await after.graphql(OPEN, { input: inputs[1] });
    expect(answer).toMatchObject({ data: null, errors: [{ extensions: { code: 'INTERNAL_SERVER_ERROR' } }] });
    expect(JSON.stringify(answer)).not.toContain('ctk_');
  });
});
