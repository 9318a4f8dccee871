import type { ErrorCode } from '../errors.js';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { GuestSessionRecord, SessionStatus } from '../guest-session/ports.js';
import { requestIdBound } from '../guest-session/request-id.js';
import type { GuestVault } from './guest-vault.js';
import type { OpenedDatabase } from './open-database.js';
import { type Page, sift, type TimeRange, toPage } from './page.js';
import { UNREADABLE } from './personal-reader.js';
import { sessionContext } from './sealed-rows.js';

export interface SessionFilter extends TimeRange {
  readonly guestId?: string | null | undefined;
  readonly crmId?: string | null | undefined;
  readonly status?: SessionStatus | null | undefined;
}

/** Reads sessions. */
export class SessionReader {
  readonly #prisma: PrismaClient;
  readonly #vault: GuestVault;

  constructor({ prisma, vault }: Pick<OpenedDatabase, 'prisma' | 'vault'>) {
    this.#prisma = prisma;
    this.#vault = vault;
  }

  async byId(id: string): Promise<GuestSessionRecord | null> {
    const row = await this.#prisma.guestSession.findUnique({ where: { id }, select: COLUMNS });
    return row && this.#toRecord(row);
  }

  /** @param sessionId the id at CXone */
  async bySessionId(sessionId: string): Promise<GuestSessionRecord | null> {
    const where = { sessionId: this.#vault.blind('session id', sessionId) };
    const row = await this.#prisma.guestSession.findFirst({ where, select: COLUMNS });
    return row && this.#toRecord(row);
  }

  async byIds(ids: readonly string[]): Promise<GuestSessionRecord[]> {
    return this.#toRecords(
      await this.#prisma.guestSession.findMany({ where: { id: { in: [...ids] } }, select: COLUMNS }),
    );
  }

  /** Newest first. @param after the id of the last session of the page before */
  async page(filter: SessionFilter, first: number, after: string | null): Promise<Page<GuestSessionRecord>> {
    const { guestId, crmId, status } = filter;
    const limit = first + 1;
    const range =
      guestId != null
        ? { guestId: this.#vault.nameOf(guestId) ?? NOBODY }
        : crmId != null
          ? { crmId: this.#vault.blind('crm id', crmId) }
          : status != null
            ? { status }
            : {};
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
    return this.#toRecords(rows);
  }

  #toRecord(row: Row): GuestSessionRecord | null {
    return this.#toRecords([row])[0] ?? null;
  }

  #toRecords(rows: readonly Row[]): GuestSessionRecord[] {
    const persons = this.#vault.reader();
    return rows.map((row) => {
      const { personal, failureCode, ...session } = row;
      const person = persons.personalOf(row, sessionContext(row.id));
      const { guestId, crmId = null, sessionId = null } = person ?? { guestId: ERASED };
      return {
        ...session,
        guestId,
        crmId,
        sessionId,
        erased: person === null || person === UNREADABLE,
        failureCode: failureCode as ErrorCode | null,
      };
    });
  }

  async countActive(): Promise<number> {
    return this.#prisma.guestSession.count({ where: { status: 'ACTIVE', expiresAt: { gt: new Date() } } });
  }
}

/** What stands in the place of a guest's id once the guest is erased. */
const ERASED = 'erased';
/** The name of no key. */
const NOBODY = '';

const COLUMNS = {
  id: true,
  callerName: true,
  guestId: true,
  personal: true,
  channel: true,
  status: true,
  createdAt: true,
  expiresAt: true,
  endedAt: true,
  endedUpstream: true,
  durationMs: true,
  attempts: true,
  crmSync: true,
  fraudScore: true,
  failureCode: true,
} satisfies Prisma.GuestSessionSelect;

type Row = Prisma.GuestSessionGetPayload<{ select: typeof COLUMNS }>;
