import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import type { SessionEventFilter, SessionEventRecord, SessionEventType } from '../guest-session/session-event.js';

/** Reads the lifecycle log. */
export class EventReader {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /** Events after a sequence, oldest first. */
  async eventsAfter(sequence: number, filter: SessionEventFilter, limit: number): Promise<SessionEventRecord[]> {
    const { types, guestId } = filter;
    const read = (type?: SessionEventType) =>
      this.#prisma.sessionEvent.findMany({
        where: { sequence: { gt: sequence }, ...(type && { type }), ...(guestId !== undefined && { guestId }) },
        orderBy: { sequence: 'asc' },
        take: limit,
      });
    if (!types) return (await read()).map(toRecord);
    // One index range for each type, merged here: "type IN (…)" would have SQLite sort all that ever happened.
    const ranges = await Promise.all([...new Set(types)].map(read));
    return ranges
      .flat()
      .sort((a, b) => a.sequence - b.sequence)
      .slice(0, limit)
      .map(toRecord);
  }

  async byRequestIds(requestIds: readonly string[]): Promise<SessionEventRecord[]> {
    const rows = await this.#prisma.sessionEvent.findMany({
      where: { requestId: { in: [...requestIds] } },
      orderBy: { sequence: 'asc' },
    });
    return rows.map(toRecord);
  }
}

const toRecord = (row: Prisma.SessionEventGetPayload<object>): SessionEventRecord => ({
  ...row,
  type: row.type as SessionEventType,
});
