import type { Ledger } from './ledger.js';
import type { NewSessionEvent } from './ledger-transaction.js';
import { type ClaimedDelivery, type DeliveryTry, IS_DUE, type NewDelivery } from './outbox-commands.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** The webhooks to be sent, in the books: no session goes untold, whatever becomes of the process or the CRM. */
export class Outbox {
  readonly #ledger: Ledger;
  readonly #reader: SqliteConnection;
  readonly #bodyOf: (event: NewSessionEvent) => string;

  /** @param bodyOf the JSON to be sent for an event */
  constructor(ledger: Ledger, reader: SqliteConnection, bodyOf: (event: NewSessionEvent) => string) {
    this.#ledger = ledger;
    this.#reader = reader;
    this.#bodyOf = bodyOf;
  }

  /** The webhook of an event, to be written in the same transaction. */
  deliveryOf(event: NewSessionEvent): NewDelivery {
    const { id, requestId, type: eventType, occurredAt: createdAt } = event;
    return { id, requestId, eventType, body: this.#bodyOf(event), createdAt };
  }

  /** Hears of new deliveries, claimed already, after their commit. */
  onEnqueued(listener: (deliveries: readonly ClaimedDelivery[]) => void): void {
    this.#ledger.onCommit(({ deliveries }) => {
      if (deliveries.length > 0) listener(deliveries);
    });
  }

  /** Makes due again what an earlier process had claimed. @returns how many there were */
  releaseAbandoned(): Promise<number> {
    return this.#ledger.execute('releaseAbandonedDeliveries', null);
  }

  /** Claims deliveries that are due, the longest waiting first. */
  async claimDue(limit: number): Promise<ClaimedDelivery[]> {
    const isAnyDue = this.#reader.get(`SELECT 1 FROM "WebhookDelivery" WHERE ${IS_DUE} LIMIT 1`, new Date());
    return isAnyDue ? this.#ledger.execute('claimDeliveries', { limit }) : []; // no commit for nothing
  }

  /** Makes a claimed delivery due at once again, untried. */
  release({ id, leaseToken }: ClaimedDelivery): Promise<void> {
    return this.#ledger.execute('releaseDelivery', { id, leaseToken });
  }

  /**
   * Writes down how a try went, and what follows for the session.
   * @returns false when another worker has taken the delivery over: then nothing is written
   */
  record({ id, requestId, attempts, leaseToken }: ClaimedDelivery, attempt: DeliveryTry): Promise<boolean> {
    const delivery = { id, requestId, attempts, leaseToken };
    return this.#ledger.execute('recordTry', { delivery, attempt }, { linger: true });
  }
}
