import { CursorExpiredError } from '../errors.js';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import {
  matchesFilter,
  type SessionEventFilter,
  type SessionEventRecord,
  type SessionEventType,
} from '../guest-session/session-event.js';
import { mergeRanges, sift } from './page.js';

/** Reads the lifecycle log. */
export class EventReader {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /**
   * Events after a sequence, oldest first.
   * @param sequence null: from the oldest that is kept
   * @throws CursorExpiredError when events that came after it were removed
   */
  async eventsAfter(sequence: number | null, filter: SessionEventFilter, limit: number): Promise<SessionEventRecord[]> {
    for (;;) {
      const events = await this.#eventsAfter(sequence ?? 0, filter, limit);
      // Asked afterwards: what is removed from here on has been read.
      const first = await this.#firstSequence();
      if (sequence !== null && sequence + 1 < first) throw new CursorExpiredError();
      // Of several queries some may have run before a removal and some after it, and the page would have a hole.
      const isWhole = (events[0]?.sequence ?? first) >= first;
      if (sequence !== null || isWhole) return events;
    }
  }

  async #firstSequence(): Promise<number> {
    return (await this.#prisma.sessionEventLog.findUnique({ where: { id: 1 } }))?.firstSequence ?? 1;
  }

  async #eventsAfter(sequence: number, filter: SessionEventFilter, limit: number): Promise<SessionEventRecord[]> {
    const { types, guestId } = filter;
    if (guestId !== undefined) return this.#eventsOfGuest(guestId, sequence, filter, limit);
    const ranges = types ? [...new Set(types)].map((type) => ({ type })) : [{}];
    // Several queries may see several states of a growing log: one that sees further would hide what another has missed.
    const end = ranges.length > 1 ? await this.newestSequence() : Number.POSITIVE_INFINITY;
    const read = (range: { readonly type?: SessionEventType }) =>
      this.#prisma.sessionEvent.findMany({
        where: { sequence: { gt: sequence }, ...range },
        orderBy: { sequence: 'asc' },
        take: limit,
      });
    const rows = await mergeRanges(ranges, read, (a, b) => a.sequence - b.sequence, limit);
    return rows.filter((row) => row.sequence <= end).map(toRecord);
  }

  /** One guest has few events: they are read as they come, and sifted here. */
  async #eventsOfGuest(
    guestId: string,
    after: number,
    filter: SessionEventFilter,
    limit: number,
  ): Promise<SessionEventRecord[]> {
    const read = async (last: SessionEventRecord | null, limit: number) =>
      (
        await this.#prisma.sessionEvent.findMany({
          where: { guestId, sequence: { gt: last?.sequence ?? after } },
          orderBy: { sequence: 'asc' },
          take: limit,
        })
      ).map(toRecord);
    return sift(read, (event) => matchesFilter(event, filter), limit);
  }

  /** Of the newest event that is committed and kept; 0 where there is none. */
  async newestSequence(): Promise<number> {
    const newest = await this.#prisma.sessionEvent.findFirst({
      orderBy: { sequence: 'desc' },
      select: { sequence: true },
    });
    return newest?.sequence ?? 0;
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
