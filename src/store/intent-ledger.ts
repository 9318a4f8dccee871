import { createHmac } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AttemptError } from '../errors.js';
import { actorOf } from '../guest-session/actor.js';
import type { Attempt } from '../guest-session/attempt.js';
import { intentOf } from '../guest-session/believed-connection.js';
import type { Deadline } from '../guest-session/deadline.js';
import type { Conclusion, IntentLedger, Recognition } from '../guest-session/ledger-ports.js';
import type { GuestSessionRecord, Outcome, ValidRequest } from '../guest-session/ports.js';
import { steadyNow } from '../guest-session/steady-clock.js';
import { LEASE_MARGIN_MS } from './attempt-ledger.js';
import { keyIdOf, missingKey } from './encryption-key.js';
import type { KeyClaimResult } from './idempotency-commands.js';
import type { Ledger } from './ledger.js';
import type { TokenCipher } from './token-cipher.js';

/** How often one that waits looks for itself: of what lapses, or of another process' commits, nobody tells it. */
const LOOK_AGAIN_MS = 250;

/** More than can be at work at once in the moments that it takes to ask for a key. */
const ENDED_KEPT = 1_000;

export interface IntentLedgerSettings {
  /** Names this process among those that may hold keys. */
  readonly instanceId: string;
  /** Whether no other process can be at work on the file, so that what others held is void. */
  readonly isAlone: boolean;
  readonly ttlMs: number;
  /** What stands for a key in the books. */
  blindKey(key: string): string;
  /** Attempts of this process that have ended and could not be written down yet. */
  unwritten(): readonly string[];
  /** Keyed hashes are made with the first; the others are of older encryption keys. */
  readonly inputKeys: readonly [Buffer, ...Buffer[]];
}

interface Sessions {
  byId(id: string): Promise<GuestSessionRecord | null>;
}

/** The idempotency keys, in SQLite: who holds one is decided in a transaction, so that one attempt alone can. */
export class SqliteIntentLedger implements IntentLedger {
  readonly #ledger: Ledger;
  readonly #sessions: Sessions;
  readonly #cipher: TokenCipher;
  readonly #settings: IntentLedgerSettings;
  readonly #waiting = new Map<string, Set<() => void>>();
  #waiters = 0;
  /** Attempts that have ended lately, the oldest first. */
  readonly #ended = new Set<string>();

  constructor(ledger: Ledger, sessions: Sessions, cipher: TokenCipher, settings: IntentLedgerSettings) {
    this.#ledger = ledger;
    this.#sessions = sessions;
    this.#cipher = cipher;
    this.#settings = settings;
    ledger.onCommit(({ events }) => {
      for (const { type, requestId } of events) if (type !== 'SESSION_REQUESTED') this.#hasEnded(requestId);
    });
  }

  async recognise(attempt: Attempt, request: ValidRequest): Promise<Recognition> {
    const recognition = await this.#claim(attempt, request);
    // One that has ended while we asked, as late as in the same commit, wakes nobody any more.
    const isOver = recognition.is === 'IN_FLIGHT' && this.#ended.has(recognition.requestId);
    return isOver ? this.#claim(attempt, request) : recognition;
  }

  async #claim(attempt: Attempt, request: ValidRequest): Promise<Recognition> {
    const { requestId, caller, deadline } = attempt;
    const { instanceId: leaseOwner, isAlone, ttlMs } = this.#settings;
    const now = steadyNow();
    const claim = await this.#ledger.execute('claimKey', {
      callerName: caller.name,
      actor: actorOf(caller),
      guestId: request.guestId,
      crmId: request.crmId,
      key: this.#settings.blindKey(request.idempotencyKey ?? ''),
      inputHmacs: this.#hmacs(intentOf(request, caller)),
      requestId,
      leaseOwner,
      isAlone,
      unwritten: this.#settings.unwritten(),
      now,
      leaseUntil: new Date(now.getTime() + deadline.remainingMs + LEASE_MARGIN_MS),
      expiresAt: new Date(Date.now() + ttlMs),
    });
    if (claim.is === 'UNREADABLE') throw missingKey('the input of this idempotency key', claim.encryptionKeyId);
    if (claim.is === 'SETTLED') {
      const conclusion = await this.#conclusion(claim);
      // The guest was erased just now, and the key with it: it is a new one.
      if (!conclusion) return this.#claim(attempt, request);
      this.#wake(requestId); // where others wait for this attempt, it has come to its answer
      return { is: 'REPLAY', conclusion };
    }
    if (claim.is === 'UNSETTLED') return { is: 'UNSETTLED', earlier: await this.#session(claim.requestId) };
    return claim;
  }

  async closing(requestId: string, deadline: Deadline): Promise<void> {
    const timer = new AbortController();
    const waiting = this.#waiting.get(requestId) ?? new Set();
    this.#waiting.set(requestId, waiting);
    const wake = () => timer.abort();
    waiting.add(wake);
    this.#waiters += 1;
    // However many wait, they look a thousand times a second in all: each look is work for the one writer.
    const waitMs = Math.max(LOOK_AGAIN_MS, this.#waiters);
    await sleep(Math.min(waitMs, deadline.remainingMs), undefined, { signal: timer.signal }).catch(() => undefined);
    this.#waiters -= 1;
    waiting.delete(wake);
    if (waiting.size === 0) this.#waiting.delete(requestId);
  }

  #hasEnded(requestId: string): void {
    this.#ended.add(requestId);
    for (const oldest of this.#ended) {
      if (this.#ended.size <= ENDED_KEPT) break;
      this.#ended.delete(oldest);
    }
    this.#wake(requestId);
  }

  #wake(requestId: string): void {
    for (const wake of this.#waiting.get(requestId) ?? []) wake();
  }

  /** @returns null where the guest was erased since */
  async #conclusion(settled: KeyClaimResult & { is: 'SETTLED' }): Promise<Conclusion | null> {
    const { requestId, eventSequence, succeeded, clientToken } = settled;
    if (!succeeded) {
      const error = new AttemptError('FRAUD_BLOCKED');
      const outcome: Outcome = { status: error.status, error, stage: 'FRAUD' };
      return { requestId, outcome, session: null, eventSequence, replayed: true };
    }
    const session = await this.#session(requestId);
    if (session.erased) return null;
    const { sessionId, expiresAt } = session;
    if (sessionId === null || expiresAt === null)
      throw new Error(`the session of the attempt ${requestId} is not open`);
    const token = clientToken === null ? null : this.#cipher.decrypt(clientToken, requestId);
    const outcome: Outcome = { status: 'SUCCESS', created: { sessionId, clientToken: token, expiresAt } };
    return { requestId, outcome, session, eventSequence, replayed: true };
  }

  async #session(id: string): Promise<GuestSessionRecord> {
    const session = await this.#sessions.byId(id);
    if (!session) throw new Error(`the attempt ${id}, which an idempotency key stands for, has no session`);
    return session;
  }

  /** Hashes of the input in its one form, so that a default that is left out is the same as one that is given. */
  #hmacs(intent: object): [string, ...string[]] {
    const canonical = JSON.stringify(Object.entries(intent).sort(([a], [b]) => (a < b ? -1 : 1)));
    const [key, ...oldKeys] = this.#settings.inputKeys;
    // With the name of its key: where the key is missing, it must not look as if the input were another.
    const hmac = (secret: Buffer) =>
      `${keyIdOf(secret)}.${createHmac('sha256', secret).update(canonical).digest('base64url')}`;
    return [hmac(key), ...oldKeys.map(hmac)];
  }
}
