import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { AttemptError, InternalError } from '../../src/errors.js';
import { Attempt } from '../../src/guest-session/attempt.js';
import { AuditReader } from '../../src/store/audit-reader.js';
import { attemptFor, type Books, openBooks, openSession, TESTER } from './ledger.js';

const SOURCE = '203.0.113.0/24#a1b2c3d4e5f6';
const CALLER = { ...TESTER, sourceAddress: SOURCE };

const trailOf = (books: Books) => new AuditReader(books).after(0, 100);

it('an attempt that was interrupted is still known by the caller and the address that its reservation has kept', async () => {
  const books = await openBooks();
  const { request } = attemptFor();
  const attempt = new Attempt(CALLER, 15_000);
  attempt.request = request;
  await books.attempts.reserve(attempt, request);
  const session = (await books.sessions.byId(attempt.requestId))!;

  await books.sessions.reconcile(session, { session: null, hasSurplus: false });

  const [initiation, reconciliation] = await trailOf(books);
  expect(initiation).toMatchObject({
    kind: 'SESSION_INITIATION',
    requestId: attempt.requestId,
    status: 'FAILED',
    reason: expect.stringMatching(/^interrupted/),
    actor: 'tester',
    actorRole: 'BACKEND',
    sourceAddress: SOURCE,
  });
  expect(reconciliation).toMatchObject({ actor: 'reconciler', actorRole: 'SYSTEM', sourceAddress: null });
});

it('a session that was not ended is told of with its guest, and where nobody knows it with an id of its own', async () => {
  const books = await openBooks();
  const { attempt, request } = await openSession(books);
  const session = await books.sessions.byId(attempt.requestId);
  const requestId = randomUUID();
  const orders = { requestId, actor: CALLER };

  const error = new AttemptError('CXONE_UNAVAILABLE', { detail: 'nobody answers' });
  await books.sessions.recordFailure({ kind: 'SESSION_ENDED', ...orders, session, error });
  await books.sessions.recordFailure({
    kind: 'SESSION_ENDED',
    ...orders,
    session: null,
    error: new AttemptError('NOT_FOUND'),
  });
  const bug = new InternalError(requestId, { cause: new Error('a bug') });
  await books.sessions.recordFailure({ kind: 'SESSION_ENDED', ...orders, session, error: bug });

  const common = { kind: 'SESSION_ENDED', actor: 'tester', actorRole: 'BACKEND', sourceAddress: SOURCE };
  const ofSession = { ...common, requestId: attempt.requestId, guestId: request.guestId, crmId: 'crm-1' };
  expect((await trailOf(books)).slice(1)).toMatchObject([
    { ...ofSession, status: 'FAILED', errorCode: 'CXONE_UNAVAILABLE', reason: 'nobody answers' },
    { ...common, requestId, guestId: null, status: 'REJECTED', errorCode: 'NOT_FOUND' },
    { ...ofSession, status: 'FAILED', errorCode: null, reason: `internal error ${requestId}` },
  ]);
  expect(books.count('SessionEvent', `"type" = 'SESSION_ENDED'`)).toBe(0);
});

it('callers that were turned away are told of with how often, each under an id of its own', async () => {
  const books = await openBooks();
  const nobody = { name: 'anonymous', role: null, sourceAddress: SOURCE };

  await books.writer.execute('recordRefusals', [
    { actor: nobody, reason: 'no key', attempts: 1 },
    { actor: CALLER, reason: 'the role BACKEND may not: Query.audits', attempts: 7 },
  ]);

  const trail = await trailOf(books);
  const common = { kind: 'ACCESS_REFUSED', status: 'REJECTED', errorCode: null, guestId: null, sourceAddress: SOURCE };
  expect(trail).toMatchObject([
    { ...common, actor: 'anonymous', actorRole: null, reason: 'no key', attempts: 1 },
    { ...common, actor: 'tester', actorRole: 'BACKEND', reason: expect.stringContaining('Query.audits'), attempts: 7 },
  ]);
  expect(new Set(trail.map(({ requestId }) => requestId)).size).toBe(2);
  expect(await new AuditReader(books).verify()).toMatchObject({ ok: true, checked: 2 });
});

it('a change of the keys is told of as an act of the server, under an id of its own', async () => {
  const books = await openBooks();

  await books.writer.execute('recordKeyChange', { status: 'SUCCESS', reason: 'added: "portal" (BACKEND)' });
  await books.writer.execute('recordKeyChange', { status: 'REJECTED', reason: 'not valid' });

  const trail = await trailOf(books);
  const common = { kind: 'KEYS_CHANGED', actor: 'server', actorRole: 'SYSTEM', sourceAddress: null, guestId: null };
  expect(trail).toMatchObject([
    { ...common, status: 'SUCCESS', reason: 'added: "portal" (BACKEND)' },
    { ...common, status: 'REJECTED', reason: 'not valid' },
  ]);
  expect(new Set(trail.map(({ requestId }) => requestId)).size).toBe(2);
});
