import { createHash } from 'node:crypto';
import { mintRequestId } from '../guest-session/request-id.js';
import { type ClaimedDelivery, IS_DUE } from './delivery-queue.js';
import type { DeliveryStatus } from './delivery-status.js';
import type { DeliveryTry, TryRecord } from './delivery-tries.js';
import type { Ledger } from './ledger.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { isEndpointDisabled } from './webhook-endpoint.js';

/** Deliveries that one commit replays. */
const REPLAY_BATCH_SIZE = 200;

export interface OutboxSettings {
  /** The CRM's endpoint. */
  readonly url: string;
  /** How long the endpoint may fail, without a success between, until it is disabled. */
  readonly disableAfterMs: number;
}

/** The webhooks to be sent, in the books: no session goes untold, whatever becomes of the process or the CRM. */
export class Outbox {
  readonly #ledger: Ledger;
  readonly #reader: SqliteConnection;
  readonly #settings: OutboxSettings;
  readonly #now: () => Date;

  /** @param now the clock that deliveries are due by */
  constructor(ledger: Ledger, reader: SqliteConnection, settings: OutboxSettings, now: () => Date) {
    this.#ledger = ledger;
    this.#reader = reader;
    this.#settings = settings;
    this.#now = now;
  }

  /** Hears of deliveries whose turn has come, claimed already, after their commit. */
  onEnqueued(listener: (deliveries: readonly ClaimedDelivery[]) => void): void {
    this.#ledger.onCommit(({ deliveries }) => {
      if (deliveries.length > 0) listener(deliveries);
    });
  }

  /** Makes due again what an earlier process had claimed. @returns how many there were */
  releaseAbandoned(): Promise<number> {
    return this.#ledger.execute('releaseAbandonedDeliveries', { now: this.#now() });
  }

  /** Claims deliveries that are due, the longest waiting first; none while the endpoint is disabled. */
  async claimDue(limit: number): Promise<ClaimedDelivery[]> {
    const now = this.#now();
    const isAnyDue = this.#reader.get(`SELECT 1 FROM "WebhookDelivery" WHERE ${IS_DUE} LIMIT 1`, now);
    return isAnyDue ? this.#ledger.execute('claimDeliveries', { limit, now }) : []; // no commit for nothing
  }

  /** Makes a claimed delivery due at once again, untried. */
  release({ sequence, leaseToken }: ClaimedDelivery): Promise<void> {
    return this.#ledger.execute('releaseDelivery', { sequence, leaseToken, now: this.#now() });
  }

  /**
   * Writes down how a try went, and what follows for the session and the endpoint.
   * @returns null when another worker has taken the delivery over: then nothing is written
   */
  record(claimed: ClaimedDelivery, attempt: DeliveryTry): Promise<TryRecord | null> {
    const { sequence, id, requestId, eventType, attempts, leaseToken } = claimed;
    const delivery = { sequence, id, requestId, eventType, attempts, leaseToken };
    const { disableAfterMs } = this.#settings;
    return this.#ledger.execute('recordTry', { delivery, attempt, disableAfterMs, now: this.#now() }, { linger: true });
  }

  /** Whether nothing may be sent. */
  get isEndpointDisabled(): boolean {
    return isEndpointDisabled(this.#reader);
  }

  /** Gives up at most `limit` deliveries that wait for a disabled endpoint. @returns how many */
  async bury(limit: number): Promise<number> {
    const isAnyWaiting = this.#reader.get(
      `SELECT 1 FROM "WebhookDelivery" WHERE "nextAttemptAt" >= 0 AND "leaseToken" IS NULL LIMIT 1`,
    );
    return isAnyWaiting ? this.#ledger.execute('buryDeliveries', { limit, now: this.#now() }) : 0;
  }

  /** Gets to know the endpoint. @returns how many deliveries a new one gets that a disabled one before it did not; null else */
  meetEndpoint(): Promise<number | null> {
    const urlHash = createHash('sha256').update(this.#settings.url).digest('hex');
    const resumption = { actor: 'crm-outbox', requestId: mintRequestId().id, now: this.#now() };
    return this.#ledger.execute('meetEndpoint', { ...resumption, urlHash });
  }

  /** Makes a disabled endpoint active again. @returns how many deliveries are sent after all; null where it was active */
  resumeEndpoint(actor: string): Promise<number | null> {
    const requestId = mintRequestId().id;
    return this.#ledger.execute('resumeEndpoint', { actor, requestId, reason: null, now: this.#now() });
  }

  /** Queues one delivery again. @returns false where there is none of that id */
  replay(id: string, actor: string): Promise<boolean> {
    return this.#ledger.execute('replayDelivery', { id, actor, now: this.#now() });
  }

  /** Queues again all deliveries of a status and a time (`until` exclusive), in the order of their events. @returns how many */
  async replayAll(
    { status, since, until }: { readonly status: DeliveryStatus; readonly since: Date; readonly until: Date },
    actor: string,
  ): Promise<number> {
    const range = { status, since, until, actor, limit: REPLAY_BATCH_SIZE };
    let total = 0;
    let after = 0;
    for (;;) {
      const { replayed, last } = await this.#ledger.execute('replayDeliveries', { ...range, after, now: this.#now() });
      total += replayed;
      if (last === null) return total;
      after = last;
    }
  }
}
