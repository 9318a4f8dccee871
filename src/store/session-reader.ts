import type { ErrorCode } from '../errors.js';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { Channel, GuestSessionRecord, SessionStatus } from '../guest-session/ports.js';
import { type Page, type TimeRange, toPage } from './page.js';

export interface SessionFilter extends TimeRange {
  readonly guestId?: string | null | undefined;
  readonly crmId?: string | null | undefined;
  readonly status?: SessionStatus | null | undefined;
  readonly channel?: Channel | null | undefined;
}

/** Where a page of sessions goes on. */
export interface SessionPosition {
  readonly createdAt: Date;
  readonly id: string;
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

  /** Newest first. */
  async page(filter: SessionFilter, first: number, after: SessionPosition | null): Promise<Page<GuestSessionRecord>> {
    const { guestId, crmId, status, channel, from, to } = filter;
    const rows = await this.#prisma.guestSession.findMany({
      where: {
        ...(guestId != null && { guestId }),
        ...(crmId != null && { crmId }),
        ...(status != null && { status }),
        ...(channel != null && { channel }),
        AND: [
          { createdAt: { ...(from != null && { gte: from }), ...(to != null && { lt: to }) } },
          // The first condition is what the index is entered by; an OR alone would read the whole range and sort it.
          ...(after
            ? [
                { createdAt: { lte: after.createdAt } },
                { OR: [{ createdAt: { lt: after.createdAt } }, { id: { lt: after.id } }] },
              ]
            : []),
        ],
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
      take: first + 1,
      select: COLUMNS,
    });
    return toPage(rows.map(toRecord), first);
  }

  async countActive(): Promise<number> {
    return this.#prisma.guestSession.count({ where: { status: 'ACTIVE', expiresAt: { gt: new Date() } } });
  }
}

const COLUMNS = {
  id: true,
  guestId: true,
  crmId: true,
  channel: true,
  status: true,
  createdAt: true,
  sessionId: true,
  expiresAt: true,
  endedAt: true,
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
