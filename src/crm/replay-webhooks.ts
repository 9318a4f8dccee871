import { AttemptError } from '../errors.js';
import type { Actor } from '../guest-session/actor.js';
import type { ReplayRange } from '../store/delivery-replays.js';
import type { Outbox } from '../store/outbox.js';

/** What operations can do about webhooks. Every method throws AttemptError: `WEBHOOKS_DISABLED`, `LEDGER_UNAVAILABLE`. */
export class WebhookReplays {
  readonly #outbox: Outbox | null;

  /** @param outbox null where there is no CRM */
  constructor(outbox: Outbox | null) {
    this.#outbox = outbox;
  }

  /** Queues one webhook again. @throws AttemptError `NOT_FOUND` when there is none of that id */
  async replay(id: string, actor: Actor): Promise<void> {
    if (await this.#open().replay(id, actor)) return;
    throw new AttemptError('NOT_FOUND', { message: 'There is no webhook of that id.' });
  }

  /**
   * Queues again all webhooks of a status and a time.
   * @param onBatch hears how many were queued, batch by batch: also if it throws later
   */
  async replayAll(range: ReplayRange, actor: Actor, onBatch: (replayed: number) => void): Promise<void> {
    await this.#open().replayAll(range, actor, onBatch);
    this.#open(); // disabled in the middle of it: the rest was not queued
  }

  /** Makes a disabled endpoint active again. @returns how many webhooks it gets that it has missed */
  async resume(actor: Actor): Promise<number> {
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
