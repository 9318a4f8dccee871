import { createHash } from 'node:crypto';
import { type Actor, systemActor } from '../guest-session/actor.js';
import { mintRequestId } from '../guest-session/request-id.js';
import type { Batch, DeliveryPosition } from './delivery-pages.js';
import { type ClaimedDelivery, IS_DUE } from './delivery-queue.js';
import type { ReplayRange } from './delivery-replays.js';
import { type DeliveryTry, IS_BURIABLE, type TryRecord } from './delivery-tries.js';
import type { Ledger } from './ledger.js';
import type { SqliteConnection } from './sqlite-connection.js';
import { type EndpointRules, endpointRow, isEndpointDisabled } from './webhook-endpoint.js';

/** Deliveries that one commit replays or revives. */
const BATCH_SIZE = 200;

export interface OutboxSettings {
  /** The CRM's endpoint. */
  readonly url: string;
  readonly rules: EndpointRules;
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

  /**
   * Hears of deliveries whose turn has come, claimed already, after their commit; and of a commit that has erased a guest, whether or
   * not it has any. What was claimed until then, these included, may still tell of the guest.
   */
  onEnqueued(listener: (deliveries: readonly ClaimedDelivery[], isGuestErased: boolean) => void): void {
    this.#ledger.onCommit(({ deliveries, erased }) => {
      if (deliveries.length > 0 || erased.length > 0) listener(deliveries, erased.length > 0);
    });
  }

  /** Makes due again what an earlier process had claimed. @returns how many there were */
  releaseAbandoned(): Promise<number> {
    const { longestWaitMs } = this.#settings.rules;
    return this.#ledger.execute('releaseAbandonedDeliveries', { now: this.#now(), longestWaitMs });
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
    const { body: _, leasedUntil: __, ...delivery } = claimed;
    const { rules } = this.#settings;
    return this.#ledger.execute('recordTry', { delivery, attempt, rules, now: this.#now() }, { linger: true });
  }

  /** Whether nothing may be sent. */
  get isEndpointDisabled(): boolean {
    return isEndpointDisabled(this.#reader);
  }

  /** Gives up at most `limit` deliveries that wait for a disabled endpoint. @returns how many */
  async bury(limit: number): Promise<number> {
    const now = this.#now();
    const isAnyWaiting = this.#reader.get(`SELECT 1 FROM "WebhookDelivery" WHERE ${IS_BURIABLE} LIMIT 1`, now);
    return isAnyWaiting ? this.#ledger.execute('buryDeliveries', { limit, now }) : 0;
  }

  /** Gets to know the endpoint. @returns whether a disabled one has a new address, and was resumed by that */
  meetEndpoint(): Promise<boolean> {
    const urlHash = createHash('sha256').update(this.#settings.url).digest('hex');
    const resumption = { actor: systemActor('crm-outbox'), requestId: mintRequestId().id, now: this.#now() };
    return this.#ledger.execute('meetEndpoint', { ...resumption, urlHash });
  }

  /** Makes a disabled endpoint active again, and sends what it has missed. @returns how much that is; null where it was active */
  async resumeEndpoint(actor: Actor): Promise<number | null> {
    const resumption = { actor, requestId: mintRequestId().id, reason: null, now: this.#now() };
    return (await this.#ledger.execute('resumeEndpoint', resumption)) ? this.revive() : null;
  }

  /** Brings back what an endpoint has missed that was resumed, as far as that is not done yet. @returns how much it was */
  async revive(): Promise<number> {
    if (endpointRow(this.#reader)?.reviveSince == null) return 0;
    let total = 0;
    await inBatches(
      (after) => this.#ledger.execute('reviveDeliveries', { after, limit: BATCH_SIZE, now: this.#now() }),
      (queued) => {
        total += queued;
      },
    );
    return total;
  }

  /** Queues one delivery again. @returns false where there is none of that id */
  replay(id: string, actor: Actor): Promise<boolean> {
    return this.#ledger.execute('replayDelivery', { id, actor, now: this.#now() });
  }

  /**
   * Queues again all deliveries of a status and a time, in the order of their events.
   * @param onBatch hears how many were queued, batch by batch: what fails later does not undo them
   */
  replayAll(range: ReplayRange, actor: Actor, onBatch: (queued: number) => void): Promise<void> {
    const order = { ...range, actor, limit: BATCH_SIZE };
    return inBatches(
      (after) => this.#ledger.execute('replayDeliveries', { ...order, after, now: this.#now() }),
      onBatch,
    );
  }
}

/** Goes on until all is done: each batch is a commit, between which others have their turn. */
async function inBatches(
  next: (after: DeliveryPosition | null) => Promise<Batch>,
  onBatch: (queued: number) => void,
): Promise<void> {
  let after: DeliveryPosition | null = null;
  do {
    const batch: Batch = await next(after);
    onBatch(batch.queued);
    after = batch.last;
  } while (after !== null);
}
