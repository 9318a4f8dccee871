import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { WebhookEventType } from '../guest-session/session-event.js';
import { type DeliveryPosition, earlier, FIRST, LAST, readDeliveries, startOf } from './delivery-pages.js';
import type { DeliveryStatus } from './delivery-status.js';
import type { GuestVault } from './guest-vault.js';
import type { OpenedDatabase } from './open-database.js';
import { type Page, type TimeRange, toPage } from './page.js';
import { openBody } from './sealed-body.js';
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
  /** The name of the guest's key. */
  readonly guestId: string | null;
  readonly createdAt: number;
  readonly nextAttemptAt: number | null;
  readonly concludedAt: number | null;
}

const COLUMNS =
  '"sequence", "id", "requestId", "guestId", "eventType", "body", "status", "attempts", "createdAt", "nextAttemptAt", "concludedAt", "lastError"';
/** Reads the outbox. */
export class DeliveryReader {
  readonly #prisma: PrismaClient;
  readonly #reader: SqliteConnection;
  readonly #vault: GuestVault;

  constructor({ prisma, reader, vault }: Pick<OpenedDatabase, 'prisma' | 'reader' | 'vault'>) {
    this.#prisma = prisma;
    this.#reader = reader;
    this.#vault = vault;
  }

  /** Newest first. */
  page(filter: DeliveryFilter, first: number, after: DeliveryPosition | null): Page<DeliveryRecord> {
    const { requestId, sessionId } = filter;
    const rows =
      requestId != null || sessionId != null
        ? this.#ofRequests(filter, after)
        : this.#ofRanges(filter, after, first + 1);
    return toPage(this.#toRecords(rows), first);
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
    const owner = sessionId == null ? requestId : this.#vault.blind('session id', sessionId);
    const rows = this.#reader.all<Row>(sql, owner, createdAt, sequence);
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
    return row ? (this.#toRecords([row])[0] ?? null) : null;
  }

  #toRecords(rows: readonly Row[]): DeliveryRecord[] {
    const persons = this.#vault.reader();
    return rows.map((row) => {
      const { guestId: _, ...delivery } = row;
      const [createdAt, nextAttemptAt, concludedAt] = [
        new Date(row.createdAt),
        dateOf(row.nextAttemptAt),
        dateOf(row.concludedAt),
      ];
      return { ...delivery, body: openBody(row, persons), createdAt, nextAttemptAt, concludedAt };
    });
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
