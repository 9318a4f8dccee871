import type { ErrorCode } from '../errors.js';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { GuestSessionRecord, SessionStatus } from '../guest-session/ports.js';
import { requestIdBound } from '../guest-session/request-id.js';
import { type Page, sift, type TimeRange, toPage } from './page.js';

export interface SessionFilter extends TimeRange {
  readonly guestId?: string | null | undefined;
  readonly crmId?: string | null | undefined;
  readonly status?: SessionStatus | null | undefined;
}

/** Reads sessions. */
export class SessionReader {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  async byId(id: string): Promise<GuestSessionRecord | null> {
    const row = await this.#prisma.guestSession.findUnique({ where: { id }, select: COLUMNS });
    return row && toRecord(row);
  }

  /** @param sessionId the id at CXone */
  async bySessionId(sessionId: string): Promise<GuestSessionRecord | null> {
    const row = await this.#prisma.guestSession.findFirst({ where: { sessionId }, select: COLUMNS });
    return row && toRecord(row);
  }

  async byIds(ids: readonly string[]): Promise<GuestSessionRecord[]> {
    return (await this.#prisma.guestSession.findMany({ where: { id: { in: [...ids] } }, select: COLUMNS })).map(
      toRecord,
    );
  }

  /** Newest first. @param after the id of the last session of the page before */
  async page(filter: SessionFilter, first: number, after: string | null): Promise<Page<GuestSessionRecord>> {
    const { guestId, crmId, status } = filter;
    const limit = first + 1;
    const range = guestId != null ? { guestId } : crmId != null ? { crmId } : status != null ? { status } : {};
    const matches = (session: GuestSessionRecord) =>
      (crmId == null || session.crmId === crmId) && (status == null || session.status === status);
    const read = (last: GuestSessionRecord | null, batchSize: number) =>
      this.#range(range, filter, last?.id ?? after, batchSize);
    const isWhole = [guestId, crmId, status].filter((condition) => condition != null).length <= 1;
    return toPage(isWhole ? await read(null, limit) : await sift(read, matches, limit), first);
  }

  async #range(
    range: Prisma.GuestSessionWhereInput,
    { from, to }: TimeRange,
    after: string | null,
    limit: number,
  ): Promise<GuestSessionRecord[]> {
    const rows = await this.#prisma.guestSession.findMany({
      where: {
        ...range,
        // Ids begin with the time, so that one index serves the order, the range of time and the page.
        AND: [
          { id: { ...(from != null && { gte: requestIdBound(from) }), ...(to != null && { lt: requestIdBound(to) }) } },
          { id: { ...(after !== null && { lt: after }) } },
        ],
      },
      orderBy: { id: 'desc' },
      take: limit,
      select: COLUMNS,
    });
    return rows.map(toRecord);
  }

  async countActive(): Promise<number> {
    return this.#prisma.guestSession.count({ where: { status: 'ACTIVE', expiresAt: { gt: new Date() } } });
  }
}

const COLUMNS = {
  id: true,
  callerName: true,
  guestId: true,
  crmId: true,
  channel: true,
  status: true,
  createdAt: true,
  sessionId: true,
  expiresAt: true,
  endedAt: true,
  endedUpstream: true,
  durationMs: true,
  attempts: true,
  crmSync: true,
  fraudScore: true,
  failureCode: true,
} satisfies Prisma.GuestSessionSelect;

const toRecord = (row: Prisma.GuestSessionGetPayload<{ select: typeof COLUMNS }>): GuestSessionRecord => ({
  ...row,
  failureCode: row.failureCode as ErrorCode | null,
});
