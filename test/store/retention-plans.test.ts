import { expect, it } from 'vitest';
import { deliveryRetention, sessionRetention } from '../../src/store/expiry.js';
import { type Books, openBooks } from './ledger.js';
import { addDeliveries, addSessions, DAY_MS } from './old-rows.js';
import { plansOf } from './plans.js';

const RETENTION_MS = 30 * DAY_MS;
const STATUSES = ['ENDED', 'EXPIRED', 'FAILED', 'ACTIVE'] as const;

/** Sessions and webhooks of which a third is old; the older half of that is still needed. */
async function fullBooks(): Promise<Books> {
  const books = await openBooks();
  const ages = Array.from({ length: 900 }, (_, i) => 45 - i / 20);
  const ids = await addSessions(
    books,
    ...ages.map((days, i) => ({ days, status: STATUSES[i % 4]!, idempotencyKey: `key-${i}` })),
  );
  await addDeliveries(
    books,
    ...ages.map((days, i) => ({
      days,
      requestId: ids[i]!,
      status: i < 150 ? ('PENDING' as const) : i % 5 ? ('DELIVERED' as const) : ('DEAD' as const),
      eventType: i % 2 ? ('SESSION_INITIATED' as const) : ('SESSION_ENDED' as const),
    })),
  );
  return books;
}

it.each<[what: string, retention: typeof sessionRetention, searches: string[]]>([
  [
    'sessions',
    sessionRetention,
    [
      'GuestSession USING COVERING INDEX GuestSession_status_id_idx (status=? AND id>? AND id<?)',
      's USING INDEX sqlite_autoindex_GuestSession_1 (id=?)',
      'd USING INDEX WebhookDelivery_requestId_idx (requestId=?)',
      'k USING INDEX sqlite_autoindex_IdempotencyKey_1 (callerName=? AND key=?)',
    ],
  ],
  [
    'webhooks',
    deliveryRetention,
    [
      'WebhookDelivery USING COVERING INDEX WebhookDelivery_eventType_status_createdAt_idx (eventType=? AND status=? AND (createdAt,rowid)>(?,?) AND (createdAt,rowid)<(?,?))',
      'WebhookDelivery USING INTEGER PRIMARY KEY (rowid=?)',
    ],
  ],
])('SQLite finds old %s by an index, to remove them', async (_, retention, searches) => {
  const books = await fullBooks();
  const plans = await plansOf(books.db, async () => {
    expect(await retention(books.writer, books.db, RETENTION_MS).expireDue(50)).toBe(50);
  });
  const steps = plans.flatMap(({ plan }) => plan);

  expect(plans.some(({ sql }) => sql.startsWith('DELETE'))).toBe(true);
  // What was found before is read as it stands.
  const scans = steps.filter(
    (step) => step.startsWith('SCAN') && !/^SCAN (o|\(subquery-\d+\)|CONSTANT ROW)$/.test(step),
  );
  expect(scans).toEqual([]);
  for (const search of searches) expect(steps).toContain(`SEARCH ${search}`);
});

it('SQLite finds the tries of a webhook by an index, to remove them with it', async () => {
  const books = await fullBooks();
  const sql = 'SELECT 1 FROM "WebhookAttempt" WHERE "deliveryId" = ?'; // as ON DELETE CASCADE does
  expect(books.db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)).toMatchObject([
    { detail: 'SEARCH WebhookAttempt USING COVERING INDEX sqlite_autoindex_WebhookAttempt_1 (deliveryId=?)' },
  ]);
});
