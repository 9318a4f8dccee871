import type { Prisma, PrismaClient } from '../generated/prisma/client.js';
import { AuditKind, type AuditRecord, AuditStatus } from './audit-chain.js';
import type { AuditSigner } from './audit-signer.js';
import type { GuestVault } from './guest-vault.js';
import type { OpenedDatabase } from './open-database.js';
import { mergeRanges, type Page, sift, type TimeRange, toPage } from './page.js';
import { openAudit } from './sealed-rows.js';
import { TrailRows } from './trail-rows.js';
import { type AuditVerification, verifyAuditTrail } from './verify-audit-trail.js';

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

/** Reads the audit trail, and verifies it. */
export class AuditReader {
  readonly #prisma: PrismaClient;
  readonly #trail: TrailRows;
  readonly #vault: GuestVault;
  readonly #signer: AuditSigner | null;

  /** @param signer whose checkpoints can be checked; null where there is none */
  constructor(
    { prisma, reader, vault }: Pick<OpenedDatabase, 'prisma' | 'reader' | 'vault'>,
    signer: AuditSigner | null = null,
  ) {
    this.#prisma = prisma;
    this.#trail = new TrailRows(reader);
    this.#vault = vault;
    this.#signer = signer;
  }

  /** Newest first. */
  async page(filter: AuditFilter, first: number, after: AuditPosition | null): Promise<Page<AuditRecord>> {
    const { guestId, requestId, kind, status } = filter;
    const limit = first + 1;
    if (guestId != null || requestId != null) {
      const owners = requestId != null ? [{ requestId }] : this.#ownersOf(guestId ?? '');
      const matches = (entry: AuditRecord) =>
        (guestId == null || entry.guestId === guestId) &&
        (kind == null || entry.kind === kind) &&
        (status == null || entry.status === status);
      const read = (last: AuditRecord | null, batchSize: number) =>
        mergeRanges(owners, (owner) => this.#range(owner, filter, last ?? after, batchSize), newestFirst, batchSize);
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
    return this.#toRecords(rows);
  }

  /** How a guest is named in the entries: by the name of its key, and in those of version 1 by its id. */
  #ownersOf(guestId: string): Prisma.AuditEntryWhereInput[] {
    const name = this.#vault.nameOf(guestId);
    return [{ guestId }, ...(name === null ? [] : [{ guestId: name }])];
  }

  #toRecords(rows: readonly Row[]): AuditRecord[] {
    const persons = this.#vault.reader();
    return rows.map(({ personal, version, ...row }) => ({
      ...row,
      ...openAudit({ ...row, personal, version }, persons),
      kind: row.kind as AuditKind,
      status: row.status as AuditStatus,
    }));
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
    return this.#toRecords(rows);
  }

  /** Entries after a sequence, oldest first. */
  async after(sequence: number, limit: number): Promise<AuditRecord[]> {
    const rows = await this.#prisma.auditEntry.findMany({
      where: { sequence: { gt: sequence } },
      orderBy: { sequence: 'asc' },
      take: limit,
    });
    return this.#toRecords(rows);
  }

  /** Follows the chain from one sequence to another, both inclusive; by default all of it. */
  verify(from = 1, to = Number.MAX_SAFE_INTEGER): Promise<AuditVerification> {
    return verifyAuditTrail(this.#trail, this.#signer, from, to);
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

type Row = Prisma.AuditEntryGetPayload<object>;
