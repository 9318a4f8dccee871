import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import { AuditKind, type AuditRecord, AuditStatus, GENESIS_HASH, hashEntry } from './audit-chain.js';
import { mergeRanges, type Page, sift, type TimeRange, toPage } from './page.js';

export interface AuditFilter extends TimeRange {
  readonly guestId?: string | null | undefined;
  readonly requestId?: string | null | undefined;
  readonly status?: AuditStatus | null | undefined;
  readonly kind?: AuditKind | null | undefined;
}

/** Where a page of audit entries goes on. */
export interface AuditPosition {
  readonly timestamp: Date;
  readonly sequence: number;
}

/** What came of verifying the chain. */
export interface AuditVerification {
  readonly ok: boolean;
  /** Entries whose links were found good. */
  readonly checked: number;
  readonly firstBrokenSequence: number | null;
  readonly reason: string | null;
  /** Hash of the last good entry; null where there is none. */
  readonly head: string | null;
}

const VERIFY_BATCH_SIZE = 1_000;

/** Reads the audit trail, and verifies it. */
export class AuditReader {
  readonly #prisma: PrismaClient;

  constructor(prisma: PrismaClient) {
    this.#prisma = prisma;
  }

  /** Newest first. */
  async page(filter: AuditFilter, first: number, after: AuditPosition | null): Promise<Page<AuditRecord>> {
    const { guestId, requestId, kind, status } = filter;
    const limit = first + 1;
    if (guestId != null || requestId != null) {
      const owner = requestId != null ? { requestId } : { guestId };
      const matches = (entry: AuditRecord) =>
        (guestId == null || entry.guestId === guestId) &&
        (kind == null || entry.kind === kind) &&
        (status == null || entry.status === status);
      const read = (last: AuditRecord | null, batchSize: number) =>
        this.#range(owner, filter, last ?? after, batchSize);
      return toPage(await sift(read, matches, limit), first);
    }
    const ranges = rangesOf(filter);
    // Several queries may see several states of a growing trail: one that sees further would hide what another has missed.
    const end = ranges.length > 1 ? await this.#newestSequence() : Number.POSITIVE_INFINITY;
    const rows = await mergeRanges(ranges, (range) => this.#range(range, filter, after, limit), newestFirst, limit);
    return toPage(
      rows.filter((entry) => entry.sequence <= end),
      first,
    );
  }

  async #range(
    range: Prisma.AuditEntryWhereInput,
    { from, to }: TimeRange,
    after: AuditPosition | null,
    limit: number,
  ): Promise<AuditRecord[]> {
    const rows = await this.#prisma.auditEntry.findMany({
      where: {
        ...range,
        AND: [
          { timestamp: { ...(from != null && { gte: from }), ...(to != null && { lt: to }) } },
          // The first condition is what the index is entered by; an OR alone would read the whole range and sort it.
          ...(after
            ? [
                { timestamp: { lte: after.timestamp } },
                { OR: [{ timestamp: { lt: after.timestamp } }, { sequence: { lt: after.sequence } }] },
              ]
            : []),
        ],
      },
      orderBy: [{ timestamp: 'desc' }, { sequence: 'desc' }],
      take: limit,
    });
    return rows.map(toRecord);
  }

  async #newestSequence(): Promise<number> {
    const newest = await this.#prisma.auditEntry.findFirst({
      orderBy: { sequence: 'desc' },
      select: { sequence: true },
    });
    return newest?.sequence ?? 0;
  }

  async byRequestIds(requestIds: readonly string[]): Promise<AuditRecord[]> {
    const rows = await this.#prisma.auditEntry.findMany({
      where: { requestId: { in: [...requestIds] } },
      orderBy: { sequence: 'asc' },
    });
    return rows.map(toRecord);
  }

  /** Entries after a sequence, oldest first. */
  async after(sequence: number, limit: number): Promise<AuditRecord[]> {
    const rows = await this.#prisma.auditEntry.findMany({
      where: { sequence: { gt: sequence } },
      orderBy: { sequence: 'asc' },
      take: limit,
    });
    return rows.map(toRecord);
  }

  /** Follows the chain from one sequence to another, both inclusive; by default all of it. */
  async verify(from = 1, to = Number.MAX_SAFE_INTEGER): Promise<AuditVerification> {
    let previousHash = from <= 1 ? GENESIS_HASH : ((await this.#at(from - 1))?.hash ?? null);
    let expected = Math.max(1, from);
    let head: string | null = null;
    let checked = 0;
    const broken = (firstBrokenSequence: number, reason: string): AuditVerification => ({
      ok: false,
      checked,
      firstBrokenSequence,
      reason,
      head,
    });
    if (previousHash === null && (await this.after(from - 1, 1)).length === 0) {
      return { ok: true, checked: 0, firstBrokenSequence: null, reason: null, head: null }; // all of it lies behind the end
    }
    if (previousHash === null) return broken(from - 1, 'the entry before the first is missing');

    for (;;) {
      const entries = await this.after(expected - 1, Math.min(VERIFY_BATCH_SIZE, to - expected + 1));
      for (const entry of entries) {
        if (entry.sequence !== expected) return broken(expected, 'the entry is missing');
        if (entry.previousHash !== previousHash)
          return broken(expected, 'the entry is not chained to the one before it');
        if (hashEntry(previousHash, entry) !== entry.hash) return broken(expected, 'the entry was changed');
        previousHash = entry.hash;
        head = entry.hash;
        expected += 1;
        checked += 1;
      }
      if (entries.length < VERIFY_BATCH_SIZE || expected > to)
        return { ok: true, checked, firstBrokenSequence: null, reason: null, head };
    }
  }

  #at(sequence: number) {
    return this.#prisma.auditEntry.findUnique({ where: { sequence }, select: { hash: true } });
  }
}

/** The ranges of the index on kind and status that a filter takes in; one without either where it names neither. */
function rangesOf({ kind, status }: AuditFilter): { readonly kind?: AuditKind; readonly status?: AuditStatus }[] {
  if (kind == null && status == null) return [{}];
  const kinds = kind == null ? Object.values(AuditKind) : [kind];
  const statuses = status == null ? Object.values(AuditStatus) : [status];
  return kinds.flatMap((kind) => statuses.map((status) => ({ kind, status })));
}

const newestFirst = (a: AuditPosition, b: AuditPosition): number =>
  b.timestamp.getTime() - a.timestamp.getTime() || b.sequence - a.sequence;

const toRecord = (row: Prisma.AuditEntryGetPayload<object>): AuditRecord => ({
  ...row,
  kind: row.kind as AuditKind,
  status: row.status as AuditStatus,
});
