import type { Actor } from '../guest-session/actor.js';

const WINDOW_MS = 60_000;
/** How late the count of a window may be written. */
const LOOK_MS = 1_000;
/**
 * Of different kinds in a window, of each role, and of those without one: whoever has many addresses must not fill the trail
 * either, and in whose room others are is not theirs to fill.
 */
const MOST_KINDS = 100;

/** Somebody was turned away. */
export interface Refusal {
  /** `anonymous` where nobody knows who it was. */
  readonly actor: Actor;
  /** Says nothing of the key that was presented. */
  readonly reason: string;
}

/** The same, as often as that happened. */
export interface CountedRefusal extends Refusal {
  readonly attempts: number;
}

export interface RefusalSettings {
  /** Writes them down; may fail. */
  write(refusals: readonly CountedRefusal[]): Promise<unknown>;
  readonly log: { error(fields: object, message: string): void };
  /** Milliseconds, by a clock that nobody sets back. */
  readonly now?: () => number;
  readonly lookMs?: number;
}

/** Refusals of one kind: of one actor at one address, for one reason. */
interface Kind extends Refusal {
  /** In whose bound it is. */
  readonly room: string;
  readonly sinceMs: number;
  /** How often it came up that is not written down. */
  unwritten: number;
}

/** What comes beyond all bounds is of this kind, whoever it was. */
const OTHERS: Refusal = {
  actor: { name: 'anonymous', role: null, sourceAddress: null },
  reason: `others: more than ${MOST_KINDS} callers were turned away at once`,
};

/**
 * Who was turned away, for the audit trail. A flood must not fill it: of each kind the first is written at once; what follows
 * within a minute is counted, and written as one entry when the minute is over. Nobody waits for any of that, and while
 * nothing can be written it is counted on.
 */
export class Refusals implements AsyncDisposable {
  readonly #settings: RefusalSettings;
  /** The oldest first. */
  readonly #kinds = new Map<string, Kind>();
  /** How many kinds each room has. */
  readonly #taken = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  readonly #writing = new Set<Promise<void>>();
  #isFailing = false;

  constructor(settings: RefusalSettings) {
    this.#settings = settings;
    this.#timer = setInterval(() => this.#look(), settings.lookMs ?? LOOK_MS);
  }

  /** Returns at once. */
  record(refusal: Refusal): void {
    const { kind, isNew } = this.#kindOf(refusal);
    kind.unwritten += 1;
    if (isNew) this.#write([kind]);
  }

  #kindOf(refusal: Refusal): { readonly kind: Kind; readonly isNew: boolean } {
    for (const { room, most, as } of placesOf(refusal)) {
      const key = keyOf(as);
      const known = this.#kinds.get(key);
      if (known) return { kind: known, isNew: false };
      const taken = this.#taken.get(room) ?? 0;
      if (taken >= most) continue;
      const kind = { actor: as.actor, reason: as.reason, room, sinceMs: this.#now(), unwritten: 0 };
      this.#kinds.set(key, kind);
      this.#taken.set(room, taken + 1);
      return { kind, isNew: true };
    }
    throw new Error('the last place has room for everybody');
  }

  /** Writes down what has come up in the windows that are over. */
  #look(): void {
    const now = this.#now();
    const over: Kind[] = [];
    for (const [key, kind] of this.#kinds) {
      if (now - kind.sinceMs < WINDOW_MS) continue;
      this.#kinds.delete(key);
      this.#taken.set(kind.room, (this.#taken.get(kind.room) ?? 0) - 1);
      if (kind.unwritten > 0) over.push(kind);
    }
    this.#write(over);
  }

  #write(kinds: readonly Kind[]): void {
    if (kinds.length === 0) return;
    const counted = kinds.map(({ actor, reason, unwritten }) => ({ actor, reason, attempts: unwritten }));
    for (const kind of kinds) kind.unwritten = 0;
    const writing = this.#settings
      .write(counted)
      .then(
        () => {
          this.#isFailing = false;
        },
        (error: unknown) => this.#keep(counted, error),
      )
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  /** What could not be written is written with what comes up next. */
  #keep(counted: readonly CountedRefusal[], error: unknown): void {
    if (!this.#isFailing) {
      this.#settings.log.error({ err: error }, 'who was turned away could not be written down: it is tried again');
    }
    this.#isFailing = true;
    for (const { attempts, ...refusal } of counted) this.#kindOf(refusal).kind.unwritten += attempts;
  }

  #now(): number {
    return this.#settings.now?.() ?? performance.now();
  }

  /** Writes down what was counted. To be called when nobody is turned away any more, before the ledger is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#writing);
    this.#write([...this.#kinds.values()].filter(({ unwritten }) => unwritten > 0));
    await Promise.all(this.#writing);
  }
}

interface Place {
  readonly room: string;
  /** How many kinds may be there. */
  readonly most: number;
  /** What is told there. */
  readonly as: Refusal;
}

/** Where a refusal is counted: in the first place that has room. Whose name is known is named also when its address is not told. */
function* placesOf(refusal: Refusal): Generator<Place> {
  const { actor, reason } = refusal;
  yield { room: `${actor.role}`, most: MOST_KINDS, as: refusal };
  if (actor.role) {
    yield {
      room: `${actor.role} without address`,
      most: MOST_KINDS,
      as: { actor: { ...actor, sourceAddress: null }, reason },
    };
  }
  yield { room: 'others', most: 1, as: OTHERS };
}

const keyOf = ({ actor: { name, role, sourceAddress }, reason }: Refusal): string =>
  JSON.stringify([name, role, sourceAddress, reason]);
