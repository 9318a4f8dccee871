import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { WebhookEventType } from '../guest-session/session-event.js';
import { type DeliveryPosition, earlier, FIRST, LAST, readDeliveries, startOf } from './delivery-pages.js';
import type { DeliveryStatus } from './delivery-status.js';
import { type Page, type TimeRange, toPage } from './page.js';
import type { SqliteConnection } from './sqlite-connection.js';

export interface DeliveryFilter extends TimeRange {
  readonly status?: DeliveryStatus | null | undefined;
  readonly eventType?: WebhookEventType | null | undefined;
  readonly requestId?: string | null | undefined;
  /** At CXone. */
  readonly sessionId?: string | null | undefined;
}

/** A webhook: what is sent, and how that stands. */
export interface DeliveryRecord extends DeliveryPosition {
  readonly id: string;
  readonly requestId: string;
  readonly eventType: WebhookEventType;
  readonly body: string;
  readonly status: DeliveryStatus;
  readonly attempts: number;
  readonly nextAttemptAt: Date | null;
  readonly concludedAt: Date | null;
  readonly lastError: string | null;
}

/** One try of a webhook. */
export type DeliveryTryRecord = Prisma.WebhookAttemptGetPayload<object>;

/** How the CRM's endpoint does. */
export type EndpointRecord = Omit<
  Prisma.WebhookEndpointGetPayload<object>,
  'id' | 'urlHash' | 'lastFailureAt' | 'warnedPercent' | 'reviveSince'
>;

/** Times are milliseconds since 1970. */
interface Row extends Omit<DeliveryRecord, 'createdAt' | 'nextAttemptAt' | 'concludedAt'> {
  readonly createdAt: number;
  readonly nextAttemptAt: number | null;
  readonly concludedAt: number | null;
}

const COLUMNS =
  '"sequence", "id", "requestId", "eventType", "body", "status", "attempts", "createdAt", "nextAttemptAt", "concludedAt", "lastError"';
/** Reads the outbox. */
export class DeliveryReader {
  readonly #prisma: PrismaClient;
  readonly #reader: SqliteConnection;

  constructor(prisma: PrismaClient, reader: SqliteConnection) {
    this.#prisma = prisma;
    this.#reader = reader;
  }

  /** Newest first. */
  page(filter: DeliveryFilter, first: number, after: DeliveryPosition | null): Page<DeliveryRecord> {
    const { requestId, sessionId } = filter;
    const rows =
      requestId != null || sessionId != null
        ? this.#ofRequests(filter, after)
        : this.#ofRanges(filter, after, first + 1);
    return toPage(rows.map(toRecord), first);
  }

  #ofRanges({ status, eventType, from, to }: DeliveryFilter, after: DeliveryPosition | null, limit: number): Row[] {
    const above = from == null ? FIRST : startOf(from);
    const below = earlier(to == null ? LAST : startOf(to), after ?? LAST);
    return readDeliveries<Row>(this.#reader, COLUMNS, { status, eventType, above, below, order: 'DESC', limit });
  }

  /** A request has few deliveries: they are all read, and sifted here. */
  #ofRequests(filter: DeliveryFilter, after: DeliveryPosition | null): Row[] {
    const { requestId, sessionId, status, eventType, from, to } = filter;
    const owners = sessionId == null ? '?' : 'SELECT "id" FROM "GuestSession" WHERE "sessionId" = ?';
    const sql = `SELECT ${COLUMNS} FROM "WebhookDelivery" WHERE "requestId" IN (${owners})
      AND ("createdAt", "sequence") < (?, ?) ORDER BY "createdAt" DESC, "sequence" DESC`;
    const { createdAt, sequence } = after ?? LAST;
    const rows = this.#reader.all<Row>(sql, sessionId ?? requestId ?? null, createdAt, sequence);
    return rows.filter(
      (row) =>
        (requestId == null || row.requestId === requestId) &&
        (status == null || row.status === status) &&
        (eventType == null || row.eventType === eventType) &&
        (from == null || row.createdAt >= from.getTime()) &&
        (to == null || row.createdAt < to.getTime()),
    );
  }

  byId(id: string): DeliveryRecord | null {
    const row = this.#reader.get<Row>(`SELECT ${COLUMNS} FROM "WebhookDelivery" WHERE "id" = ?`, id);
    return row ? toRecord(row) : null;
  }

  /** The tries of deliveries, in order. */
  triesOf(deliveryIds: readonly string[]): Promise<DeliveryTryRecord[]> {
    return this.#prisma.webhookAttempt.findMany({
      where: { deliveryId: { in: [...deliveryIds] } },
      orderBy: [{ deliveryId: 'asc' }, { number: 'asc' }],
    });
  }

  /** Null where there never was a CRM. */
  endpoint(): Promise<EndpointRecord | null> {
    return this.#prisma.webhookEndpoint.findUnique({
      where: { id: 1 },
      select: { status: true, failingSince: true, disabledAt: true, disabledReason: true },
    });
  }
}

const dateOf = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));

const toRecord = (row: Row): DeliveryRecord => ({
  ...row,
  createdAt: new Date(row.createdAt),
  nextAttemptAt: dateOf(row.nextAttemptAt),
  concludedAt: dateOf(row.concludedAt),
});
