import { onTestFinished } from 'vitest';
import { CrmWebhook } from '../../src/crm/crm-webhook.js';
import { OutboxWorker, type OutboxWorkerSettings } from '../../src/crm/deliver-outbox.js';
import type { WebhookEventType } from '../../src/guest-session/session-event.js';
import { createHttpClient } from '../../src/outbound/http-client.js';
import { CrmSandbox } from '../../src/sandbox/crm-sandbox.js';
import { type Books, openBooks } from '../store/ledger.js';

export const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

interface Options extends Partial<OutboxWorkerSettings> {
  readonly timeoutMs?: number;
  readonly webhookEvents?: readonly WebhookEventType[];
  readonly now?: () => Date;
}

/** What a worker has logged. */
interface Complaint {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

/** Books, a CRM, and a worker between them that is not yet started. */
export async function setUp(options: Options = {}) {
  const { webhookEvents, now } = options;
  const books = await openBooks({ ...(webhookEvents && { webhookEvents }), ...(now && { now }) });
  const crm = await CrmSandbox.start();
  const http = createHttpClient();
  const complaints: Complaint[] = [];
  const worker = newWorker(books, crm, http, options, complaints);
  onTestFinished(async () => {
    await worker[Symbol.asyncDispose]();
    await http[Symbol.asyncDispose]();
    await crm[Symbol.asyncDispose]();
  });
  return { books, crm, http, worker, complaints };
}

export function newWorker(
  books: Books,
  crm: CrmSandbox,
  http: ReturnType<typeof createHttpClient>,
  options: Options,
  complaints: Complaint[] = [],
): OutboxWorker {
  const { timeoutMs = 5_000, concurrency = 8, retryScheduleSeconds = [0, 0], pollIntervalMs = 50 } = options;
  const webhook = new CrmWebhook(http.axios, { url: crm.url, timeoutMs, secrets: [] });
  const note = (level: string) => (fields: object, message: string) =>
    complaints.push({ level, fields: fields as Record<string, unknown>, message });
  return new OutboxWorker(
    books.outbox,
    webhook,
    { concurrency, retryScheduleSeconds, pollIntervalMs },
    { warn: note('warn'), error: note('error') },
    options.now ?? (() => new Date()),
  );
}

export const inStatus = (books: Books, status: string): number =>
  books.count('WebhookDelivery', `"status" = '${status}'`);
export const sessionIds = (crm: CrmSandbox): unknown[] =>
  crm.received.map(({ body }) => (body as { payload: { sessionId: string } }).payload.sessionId);
