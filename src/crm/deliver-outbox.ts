import type { ClaimedDelivery } from '../store/delivery-queue.js';
import type { DeliveryTry, TryRecord } from '../store/delivery-tries.js';
import type { Outbox } from '../store/outbox.js';
import type { CrmWebhook, Posted } from './crm-webhook.js';
import { nextTryAt } from './retry-schedule.js';

const GONE = 410;
/** Above this, new deliveries are left in the database until there is room. */
const MAX_WAITING = 1_000;
/** New ones may take half of that, so that what is due again gets its turn however much is new. */
const MAX_WAITING_NEW = MAX_WAITING / 2;
const POLL_BATCH = 100;
/** What must be left of a lease for a try to begin: more than a try takes. */
const LEAST_LEASE_MS = 25_000;

export interface OutboxWorkerSettings {
  readonly concurrency: number;
  readonly retryScheduleSeconds: readonly number[];
  /** How late a delivery that is due again may be. */
  readonly pollIntervalMs: number;
}

interface Log {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Sends what is in the outbox: new deliveries as they are committed, and from the database those that are due again or were
 * left by an earlier process. Each is tried at least once; the CRM tells repeats apart by their `webhook-id`. While the endpoint
 * is disabled nothing is sent, and what waits is given up in the books, to be revived when it is resumed.
 */
export class OutboxWorker implements AsyncDisposable {
  readonly #outbox: Outbox;
  readonly #webhook: Pick<CrmWebhook, 'post'>;
  readonly #settings: OutboxWorkerSettings;
  readonly #log: Log;
  readonly #now: () => Date;
  readonly #waiting: ClaimedDelivery[] = [];
  readonly #unfinished = new Set<Promise<unknown>>();
  #posting = 0;
  /** Answers being written down that say that the endpoint is gone. */
  #goneAnswers = 0;
  /** Commits so far that erased a guest. */
  #erasures = 0;
  #polling: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isStopping = false;
  #isDisabled = false;

  /** @param now the clock that deliveries are due by */
  constructor(
    outbox: Outbox,
    webhook: Pick<CrmWebhook, 'post'>,
    settings: OutboxWorkerSettings,
    log: Log,
    now: () => Date,
  ) {
    this.#outbox = outbox;
    this.#webhook = webhook;
    this.#settings = settings;
    this.#log = log;
    this.#now = now;
  }

  async start(): Promise<void> {
    const isResumed = await this.#outbox.meetEndpoint();
    if (isResumed) this.#log.warn({}, 'the CRM endpoint has a new address: it gets what was missed');
    this.#track(this.#outbox.revive());
    await this.#outbox.releaseAbandoned();
    this.#isDisabled = this.#outbox.isEndpointDisabled;
    if (this.#isDisabled)
      this.#log.error({}, 'the CRM endpoint is disabled: nothing is sent until resumeWebhookEndpoint');
    this.#outbox.onEnqueued((deliveries, isGuestErased) => {
      if (isGuestErased) this.#forget(deliveries);
      else this.#accept(deliveries, MAX_WAITING_NEW);
    });
    this.#timer = setInterval(() => {
      this.#polling ??= this.#poll().finally(() => {
        this.#polling = null;
      });
    }, this.#settings.pollIntervalMs);
  }

  /** @param most how many may wait then */
  #accept(deliveries: readonly ClaimedDelivery[], most: number): void {
    const room = this.#isStopping || this.#isDisabled ? 0 : Math.max(0, most - this.#waiting.length);
    this.#waiting.push(...deliveries.slice(0, room));
    this.#handBack(deliveries.slice(room));
    this.#fill();
  }

  /** What waits in memory may tell of a guest that was just erased: claimed anew, it does not. */
  #forget(justClaimed: readonly ClaimedDelivery[]): void {
    this.#erasures += 1;
    this.#handBack([...this.#waiting.splice(0), ...justClaimed]);
  }

  #handBack(deliveries: readonly ClaimedDelivery[]): void {
    for (const delivery of deliveries) this.#track(this.#outbox.release(delivery));
  }

  async #poll(): Promise<void> {
    try {
      this.#isDisabled = this.#outbox.isEndpointDisabled;
      if (this.#isDisabled) this.#handBack(this.#waiting.splice(0)); // claimed while it was being disabled
      const work = () => (this.#isDisabled ? this.#outbox.bury(POLL_BATCH) : this.#claim());
      while ((await work()) === POLL_BATCH && !this.#isStopping);
      this.#fill();
    } catch (error) {
      this.#log.error({ err: error }, 'the outbox could not be read');
    }
  }

  /** @returns how many were claimed; none while there is work enough */
  async #claim(): Promise<number> {
    if (this.#waiting.length >= MAX_WAITING - POLL_BATCH) return 0;
    const erasures = this.#erasures;
    const due = await this.#outbox.claimDue(POLL_BATCH);
    if (this.#erasures === erasures) this.#accept(due, MAX_WAITING);
    else this.#handBack(due); // it may have been read before
    return due.length;
  }

  #fill(): void {
    if (this.#isDisabled || this.#goneAnswers > 0) return;
    while (this.#posting < this.#settings.concurrency && !this.#isStopping) {
      const delivery = this.#waiting.shift();
      if (!delivery) return;
      // A lease that is running out is left to do so: the database makes the delivery due again.
      if (delivery.leasedUntil.getTime() - this.#now().getTime() > LEAST_LEASE_MS) this.#track(this.#deliver(delivery));
    }
  }

  #track(work: Promise<unknown>): void {
    const tracked = work
      .catch((error: unknown) =>
        this.#log.error({ err: error }, 'a delivery could not be written down: it will be sent again'),
      )
      .finally(() => this.#unfinished.delete(tracked));
    this.#unfinished.add(tracked);
  }

  async #deliver(delivery: ClaimedDelivery): Promise<void> {
    this.#posting += 1;
    const posted = await this.#webhook.post(delivery.id, delivery.body);
    const verdict = this.#judge(posted, delivery.failures + 1);
    const isGone = verdict.is === 'GONE';
    if (isGone) this.#goneAnswers += 1;
    // The place is free for the next POST while this one is being written down.
    this.#posting -= 1;
    this.#fill();
    if (posted.error !== null) {
      const { id, requestId } = delivery;
      this.#log.warn(
        { deliveryId: id, requestId, error: posted.error, verdict: verdict.is },
        'a webhook was not taken',
      );
    }
    const { startedAt, durationMs, statusCode, error } = posted;
    try {
      this.#heed(await this.#outbox.record(delivery, { startedAt, durationMs, statusCode, error, verdict }));
    } finally {
      if (isGone) this.#goneAnswers -= 1;
    }
  }

  #judge({ error, statusCode, retryAfterMs }: Posted, failures: number): DeliveryTry['verdict'] {
    if (error === null) return { is: 'DELIVERED' };
    if (statusCode === GONE) return { is: 'GONE' };
    const at = nextTryAt(this.#settings.retryScheduleSeconds, failures, this.#now(), retryAfterMs);
    return at === null ? { is: 'DEAD' } : { is: 'RETRY', at };
  }

  #heed(record: TryRecord | null): void {
    if (!record?.endpoint) return;
    const { isDisabled, reason } = record.endpoint;
    if (!isDisabled) {
      this.#log.warn({ reason }, 'the CRM takes no webhooks: its endpoint will be disabled');
      return;
    }
    this.#isDisabled = true;
    this.#log.error({ reason }, 'the CRM endpoint was disabled: nothing is sent until resumeWebhookEndpoint');
    this.#handBack(this.#waiting.splice(0));
  }

  /** Finishes the tries that are under way and hands the rest back to the database. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true;
    if (this.#timer) clearInterval(this.#timer);
    await this.#polling;
    this.#handBack(this.#waiting.splice(0));
    while (this.#unfinished.size > 0) await Promise.all(this.#unfinished);
  }
}
