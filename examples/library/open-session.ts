// Opens a guest session from a program of your own, without the server, on the embedded sandbox.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttemptError, SessionInitiator } from 'cxone-guest-sessions';

const directory = await mkdtemp(join(tmpdir(), 'open-session-'));
// The settings are those of the README's table. With CXONE_BASE_URL and what belongs to it, this asks your tenant.
const initiator = await SessionInitiator.create(
  { DATABASE_URL: `file:${join(directory, 'guest-sessions.db')}` },
  'open-session example', // the actor in the audit trail
);
try {
  await open(false);
  await open(true);
  for (const { sequence, kind, status, reason, hash } of await initiator.getAuditTrail()) {
    console.log(`audit ${sequence}: ${kind} ${status}${reason ? ` (${reason})` : ''} ${hash.slice(0, 12)}…`);
  }
} finally {
  await initiator[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
}

async function open(isProxy: boolean): Promise<void> {
  try {
    const session = await initiator.initiateGuestSession(
      `guest-${randomUUID()}`,
      'fp_9a8b7c6d5e4f3g2h1i0j',
      'crm_acct_44920',
      { isProxy, country: 'US' },
    );
    // session.clientToken goes to the guest's browser, and into no log.
    console.log(`opened ${session.sessionId}, until ${session.expiresAt.toISOString()}`);
  } catch (error) {
    if (!(error instanceof AttemptError)) throw error; // a bug, not a refusal
    console.log(`refused: ${error.code}, ${error.retryable ? 'try again later' : 'do not try again'}`);
  }
}
