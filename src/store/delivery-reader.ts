import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import { WEBHOOK_EVENT_TYPES, type WebhookEventType } from '../guest-session/session-event.js';
import { DeliveryStatus } from './delivery-status.js';
import { type Page, type TimeRange, toPage } from './page.js';
import type { SqliteConnection } from './sqlite-connection.js';

export interface DeliveryFilter extends TimeRange {
  readonly status?: DeliveryStatus | null | undefined;
  readonly eventType?: WebhookEventType | null | undefined;
  readonly requestId?: string | null | undefined;
  /** At CXone. */
  readonly sessionId?: string | null | undefined;
}

/** Where a page of deliveries goes on. */
export interface DeliveryPosition {
  readonly createdAt: Date;
  readonly sequence: number;
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
export type EndpointRecord = Omit<Prisma.WebhookEndpointGetPayload<object>, 'id' | 'urlHash' | 'warnedPercent'>;

/** Times are milliseconds since 1970. */
interface Row extends Omit<DeliveryRecord, 'createdAt' | 'nextAttemptAt' | 'concludedAt'> {
  readonly createdAt: number;
  readonly nextAttemptAt: number | null;
  readonly concludedAt: number | null;
}

const COLUMNS =
  '"sequence", "id", "requestId", "eventType", "body", "status", "attempts", "createdAt", "nextAttemptAt", "concludedAt", "lastError"';
const NEWEST_FIRST = 'ORDER BY "createdAt" DESC, "sequence" DESC LIMIT ?';
const OF_RANGE = `SELECT * FROM (SELECT ${COLUMNS} FROM "WebhookDelivery" WHERE "eventType" = ? AND "status" = ?
  AND "createdAt" >= ? AND "createdAt" < ? AND ("createdAt", "sequence") < (?, ?) ${NEWEST_FIRST})`;

/** The last moment of JavaScript, and a sequence that no log reaches. */
const END = { createdAt: new Date(8_640_000_000_000_000), sequence: Number.MAX_SAFE_INTEGER };

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

  /**
   * All ranges of the index that a filter takes in, merged. One statement, and by that one state of the books: with a query
   * for each range, a delivery that is concluded between two of them would be in neither.
   */
  #ofRanges(filter: DeliveryFilter, after: DeliveryPosition | null, limit: number): Row[] {
    const { status, eventType, from, to } = filter;
    const types = eventType == null ? WEBHOOK_EVENT_TYPES : [eventType];
    const statuses = status == null ? Object.values(DeliveryStatus) : [status];
    const ranges = types.flatMap((type) => statuses.map((status) => [type, status]));
    const position = after ?? END;
    const parameters = ranges.flatMap((range) => [
      ...range,
      from ?? new Date(0),
      to ?? END.createdAt,
      position.createdAt,
      position.sequence,
      limit,
    ]);
    return this.#reader.all<Row>(
      `${ranges.map(() => OF_RANGE).join(' UNION ALL ')} ${NEWEST_FIRST}`,
      ...parameters,
      limit,
    );
  }

  /** A request has few deliveries: they are all read, and sifted here. */
  #ofRequests(filter: DeliveryFilter, after: DeliveryPosition | null): Row[] {
    const { requestId, sessionId, status, eventType, from, to } = filter;
    const owners = sessionId == null ? '?' : 'SELECT "id" FROM "GuestSession" WHERE "sessionId" = ?';
    const sql = `SELECT ${COLUMNS} FROM "WebhookDelivery" WHERE "requestId" IN (${owners})
      AND ("createdAt", "sequence") < (?, ?) ${NEWEST_FIRST}`;
    const { createdAt, sequence } = after ?? END;
    const rows = this.#reader.all<Row>(sql, sessionId ?? requestId ?? null, createdAt, sequence, -1);
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
