import { CursorExpiredError } from '../errors.js';
import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import {
  matchesFilter,
  type SessionEventFilter,
  type SessionEventRecord,
  type SessionEventType,
} from '../guest-session/session-event.js';
import type { GuestVault } from './guest-vault.js';
import type { OpenedDatabase } from './open-database.js';
import { mergeRanges, sift } from './page.js';
import { openEvent } from './sealed-rows.js';

/** Reads the lifecycle log. */
export class EventReader {
  readonly #prisma: PrismaClient;
  readonly #vault: GuestVault;

  constructor({ prisma, vault }: Pick<OpenedDatabase, 'prisma' | 'vault'>) {
    this.#prisma = prisma;
    this.#vault = vault;
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
    return this.#toRecords(rows.filter((row) => row.sequence <= end));
  }

  /** One guest has few events: they are read as they come, and sifted here. */
  async #eventsOfGuest(
    guestId: string,
    after: number,
    filter: SessionEventFilter,
    limit: number,
  ): Promise<SessionEventRecord[]> {
    const name = this.#vault.nameOf(guestId);
    if (name === null) return [];
    const read = async (last: SessionEventRecord | null, limit: number) =>
      this.#toRecords(
        await this.#prisma.sessionEvent.findMany({
          where: { guestId: name, sequence: { gt: last?.sequence ?? after } },
          orderBy: { sequence: 'asc' },
          take: limit,
        }),
      );
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
    return this.#toRecords(rows);
  }

  #toRecords(rows: readonly Prisma.SessionEventGetPayload<object>[]): SessionEventRecord[] {
    const persons = this.#vault.reader();
    return rows.map((row) => ({ ...openEvent(row, persons), type: row.type as SessionEventType }));
  }
}
