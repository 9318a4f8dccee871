import { AttemptError } from '../errors.js';
import type { DeliveryStatus } from '../store/delivery-status.js';
import type { Outbox } from '../store/outbox.js';

/** What operations can do about webhooks. Every method throws AttemptError: `WEBHOOKS_DISABLED`, `LEDGER_UNAVAILABLE`. */
export class WebhookReplays {
  readonly #outbox: Outbox | null;

  /** @param outbox null where there is no CRM */
  constructor(outbox: Outbox | null) {
    this.#outbox = outbox;
  }

  /** Queues one webhook again. @throws AttemptError `NOT_FOUND` when there is none of that id */
  async replay(id: string, actor: string): Promise<void> {
    if (await this.#open().replay(id, actor)) return;
    throw new AttemptError('NOT_FOUND', { message: 'There is no webhook of that id.' });
  }

  /** Queues again all webhooks of a status and a time (`until` exclusive). @returns how many */
  async replayAll(
    range: { readonly status: DeliveryStatus; readonly since: Date; readonly until: Date },
    actor: string,
  ): Promise<number> {
    return this.#open().replayAll(range, actor);
  }

  /** Makes a disabled endpoint active again. @returns how many webhooks it gets that it has missed */
  async resume(actor: string): Promise<number> {
    return (await this.#known().resumeEndpoint(actor)) ?? 0;
  }

  #known(): Outbox {
    if (this.#outbox) return this.#outbox;
    throw new AttemptError('WEBHOOKS_DISABLED', { message: 'There is no CRM to send webhooks to (CRM_WEBHOOK_URL).' });
  }

  #open(): Outbox {
    const outbox = this.#known();
    if (outbox.isEndpointDisabled) throw new AttemptError('WEBHOOKS_DISABLED');
    return outbox;
  }
}
