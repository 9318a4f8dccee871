import { expect, it } from 'vitest';
import { eventExpiry } from '../../src/store/expiry.js';
import { openBooks, someEvent } from '../store/ledger.js';
import { startNetwork } from '../support/network.js';

const DAY_MS = 86_400_000;
const EVENTS =
  'query ($after: String, $first: Int! = 100) { events(after: $after, first: $first) { nodes { type cursor } } }';
const cursorOf = (text: string) => Buffer.from(text).toString('base64url');

it('a cursor that is older than the events that are kept is refused by name, and one that is none as bad input', async () => {
  const books = await openBooks();
  const ages = [40, 39, 38, 2, 1];
  await books.writer.submit((transaction) => {
    for (const days of ages) transaction.appendEvent(someEvent({ occurredAt: new Date(Date.now() - days * DAY_MS) }));
  });
  expect(await eventExpiry(books.writer, books.db, 30 * DAY_MS).expireDue(100)).toBe(3);
  await books[Symbol.asyncDispose]();
  const { graphql } = await startNetwork({ databaseUrl: `file:${books.path}` });
  const ask = (after: string | null) => graphql(EVENTS, { after });

  const { nodes } = (await ask(null)).data.events;
  expect(nodes.map(({ cursor }: { cursor: string }) => cursor)).toEqual([cursorOf('event:4'), cursorOf('event:5')]);
  expect((await ask(cursorOf('event:3'))).data.events.nodes).toEqual(nodes);
  expect((await ask(cursorOf('event:5'))).data.events.nodes).toEqual([]);
  for (const sequence of [0, 1, 2]) {
    const { data, errors } = await ask(cursorOf(`event:${sequence}`));
    expect(data).toBeNull();
    expect(errors).toEqual([
      {
        message: expect.stringContaining('older than the events that are kept'),
        path: ['events'],
        extensions: { code: 'CURSOR_EXPIRED' },
      },
    ]);
  }
  for (const after of [
    '',
    'nonsense',
    cursorOf('event:-1'),
    cursorOf('event:6'),
    cursorOf('audit:1:1'),
    cursorOf('event:1x'),
  ]) {
    const { errors } = await ask(after);
    expect({ after, errors }).toMatchObject({ after, errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  }
});
