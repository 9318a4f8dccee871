import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StartupError } from '../../src/errors.js';
import { GuestVault } from '../../src/store/guest-vault.js';
import { type Books, openBooks, openSession } from './ledger.js';

const CONTEXT = 'session:one';

/** A key that is made in a transaction, as all are. */
const keyFor = (books: Books, guestId: string) => books.writer.submit(({ vault }) => vault.keyFor(guestId));

describe('the key of a guest', () => {
  it('is made once, has a name that says nothing, and is found by the guest’s id and by its name', async () => {
    const books = await openBooks();
    const [guestId, other] = [randomUUID(), randomUUID()];
    expect(books.vault.nameOf(guestId)).toBeNull();

    const key = await keyFor(books, guestId);
    const { name } = await keyFor(books, other);

    expect([key.name, name]).toEqual(['gk_1', 'gk_2']);
    expect((await keyFor(books, guestId)).name).toBe('gk_1');
    expect([books.vault.nameOf(guestId), books.vault.nameOf(other)]).toEqual(['gk_1', 'gk_2']);
    const sealed = key.seal('who it is', CONTEXT);
    expect(books.vault.byName('gk_1')?.unseal(sealed, CONTEXT)).toBe('who it is');
  });

  it('opens what it has sealed in the same row alone, and nothing of another guest', async () => {
    const books = await openBooks();
    const [one, two] = [await keyFor(books, randomUUID()), await keyFor(books, randomUUID())];
    const sealed = one.seal('who it is', CONTEXT);

    expect(() => two.unseal(sealed, CONTEXT)).toThrow();
    expect(() => one.unseal(sealed, 'session:two')).toThrow();
    expect(() => one.unseal(`${sealed.slice(0, -4)}AAAA`, CONTEXT)).toThrow();
    expect(() => one.unseal('', CONTEXT)).toThrow();
    expect(one.seal('who it is', CONTEXT)).not.toBe(sealed);
  });

  it('keeps what is known and no more', async () => {
    const key = await keyFor(await openBooks(), randomUUID());
    const personal = { guestId: 'g', crmId: null, sessionId: 'cxs', reason: undefined };

    expect(key.unsealPersonal(key.sealPersonal(personal, CONTEXT), CONTEXT)).toEqual({
      guestId: 'g',
      sessionId: 'cxs',
    });
  });

  it('is not made by who only reads, nor by a command that is undone', async () => {
    const books = await openBooks();
    const guestId = randomUUID();
    const undone = books.writer.submit(({ vault }) => {
      vault.keyFor(guestId);
      throw new Error('no');
    });

    await expect(undone).rejects.toThrow('no');
    expect(GuestVault.open(books.outside, [Buffer.alloc(32, 7)]).nameOf(guestId)).toBeNull();
    expect(books.vault.byName('gk_1')).toBeNull();
    expect(() => books.outside.vault.keyFor(guestId)).toThrow();
  });

  it('that was destroyed is found by nothing, and its name is not given again', async () => {
    const books = await openBooks();
    const guestId = randomUUID();
    await keyFor(books, guestId);
    books.db.run('UPDATE "GuestKey" SET "guestHmac" = NULL, "wrapped" = NULL, "erasedAt" = 1');

    expect([books.vault.nameOf(guestId), books.vault.byName('gk_1')]).toEqual([null, null]);
    expect((await keyFor(books, guestId)).name).toBe('gk_2');
  });

  it.each(['', 'gk_', 'gk_0', 'gk_x', 'gk_-1', 'gk_1 ', 'erased', randomUUID()])('is not named %j', async (name) => {
    const books = await openBooks();
    await keyFor(books, randomUUID());
    expect(books.vault.byName(name)).toBeNull();
  });
});

describe('a keyed hash', () => {
  it('is the same for the same value of the same kind, in every process, and another one in another file', async () => {
    const books = await openBooks();
    const hash = books.vault.blind('session id', 'cxs-1');

    expect(hash).toMatch(/^[\w-]{22}$/);
    expect(books.outside.vault.blind('session id', 'cxs-1')).toBe(hash);
    expect(books.vault.blind('session id', 'cxs-2')).not.toBe(hash);
    expect(books.vault.blind('crm id', 'cxs-1')).not.toBe(hash);
    expect((await openBooks()).vault.blind('session id', 'cxs-1')).not.toBe(hash);
    expect(books.vault.blindOrNull('crm id', null)).toBeNull();
  });
});

describe('the vault', () => {
  it('opens with the key that its database was written with, also as an old one, and with no other', async () => {
    const { db } = await openBooks();
    const [right, wrong] = [Buffer.alloc(32, 7), randomBytes(32)];

    expect(GuestVault.open(db, [right]).blind('crm id', 'a')).toBe(
      GuestVault.open(db, [wrong, right]).blind('crm id', 'a'),
    );
    expect(() => GuestVault.open(db, [wrong])).toThrow(StartupError);
    expect(() => GuestVault.open(db, [wrong])).toThrow(/ENCRYPTION_KEY .* ENCRYPTION_KEYS_OLD/);
  });

  it('leaves nothing in the clear of whom a session, its events, its webhook and its entry are about', async () => {
    const books = await openBooks();
    const guestId = randomUUID();
    const { closed } = await openSession(books, guestId);
    const bytes = () => Buffer.concat([readFileSync(books.path), readFileSync(`${books.path}-wal`)]);
    const personal = [guestId, 'crm-1', closed.session?.sessionId ?? '?'];

    expect(bytes().includes(closed.session?.id ?? '?')).toBe(true);
    for (const text of personal) expect(bytes().includes(text)).toBe(false);
  });
});
