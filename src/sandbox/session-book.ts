import { randomUUID } from 'node:crypto';

/** A session as the sandbox keeps it. */
export interface SandboxSession {
  readonly sessionId: string;
  /** The guest's credential; on no control route. */
  readonly token: string;
  readonly guestId: string;
  readonly channel: string;
  /** `routing.attributes.requestId` of the POST that opened it; null when no POST did. */
  readonly requestId: string | null;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

/** A session as it stands now, be it live or over. */
export interface SandboxSessionRecord extends SandboxSession {
  /** When somebody ended it; null while nobody has, although it may have expired. */
  readonly endedAt: Date | null;
}

/** How long a session that is over is remembered, and answers 410 instead of 404. */
const REMEMBERED_MS = 3_600_000;

type Kept = SandboxSession & { endedAt: Date | null };

/** The sandbox's sessions: live ones by guest, and those that were, for a while. */
export class SessionBook {
  readonly #credentialMark: string;
  /** In the order of opening. */
  readonly #byId = new Map<string, Kept>();
  readonly #byGuest = new Map<string, Set<Kept>>();

  /** @param credentialMark stands in every token */
  constructor(credentialMark = '') {
    this.#credentialMark = credentialMark;
  }

  open(session: { guestId: string; channel: string; requestId: string | null; ttlSeconds: number }): SandboxSession {
    this.#forgetOldest();
    const createdAt = new Date();
    const kept: Kept = {
      sessionId: `cxs_${randomUUID()}`,
      // UUIDs come from a pool of random bytes; a call for bytes of its own would show in every creation under load.
      token: `ctk_${this.#credentialMark}${`${randomUUID()}${randomUUID()}`.replaceAll('-', '')}`,
      guestId: session.guestId,
      channel: session.channel,
      requestId: session.requestId,
      createdAt,
      expiresAt: new Date(createdAt.getTime() + session.ttlSeconds * 1000),
      endedAt: null,
    };
    this.#byId.set(kept.sessionId, kept);
    const ofGuest = this.#byGuest.get(kept.guestId);
    if (ofGuest) ofGuest.add(kept);
    else this.#byGuest.set(kept.guestId, new Set([kept]));
    return kept;
  }

  /** Neither ended nor expired, in the order of opening. */
  live(guestId?: string): SandboxSession[] {
    const candidates = guestId === undefined ? this.#byId.values() : (this.#byGuest.get(guestId) ?? []);
    return [...candidates].filter(isLive);
  }

  /** Live or over, in the order of opening; copies. */
  all(guestId?: string): SandboxSessionRecord[] {
    const records: SandboxSessionRecord[] = [];
    for (const kept of this.#byId.values()) {
      if (guestId === undefined || kept.guestId === guestId) records.push({ ...kept });
    }
    return records;
  }

  end(sessionId: string): 'ended' | 'unknown' | 'already-over' {
    const kept = this.#byId.get(sessionId);
    if (!kept) return 'unknown';
    if (!isLive(kept)) return 'already-over';
    kept.endedAt = new Date();
    this.#dropFromGuest(kept);
    return 'ended';
  }

  guestOf(sessionId: string): string | null {
    return this.#byId.get(sessionId)?.guestId ?? null;
  }

  /** Keeps the book from growing without end under load, at next to no cost per session. */
  #forgetOldest(): void {
    const horizon = Date.now() - REMEMBERED_MS;
    for (const kept of this.#byId.values()) {
      const over = kept.endedAt ?? kept.expiresAt;
      if (over.getTime() > horizon) return;
      this.#byId.delete(kept.sessionId);
      this.#dropFromGuest(kept);
    }
  }

  #dropFromGuest(kept: Kept): void {
    const ofGuest = this.#byGuest.get(kept.guestId);
    ofGuest?.delete(kept);
    if (ofGuest?.size === 0) this.#byGuest.delete(kept.guestId);
  }
}

function isLive(session: Kept): boolean {
  return session.endedAt === null && session.expiresAt.getTime() > Date.now();
}
