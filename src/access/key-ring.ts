import type { ApiKey, Role } from '../access-settings.js';
import { checkKeys } from '../key-formats.js';
import type { KeyChange } from './key-changes.js';
import { type FileState, watchKeyFile } from './watch-key-file.js';

export interface KeyRingSettings {
  /** Those that stay as they are. */
  readonly fixed: readonly ApiKey[];
  /** More of them, in a file that may change; null: none. */
  readonly file: { readonly path: string; readonly keys: readonly ApiKey[] } | null;
  readonly log: KeyRingLog;
}

export interface KeyRingLog {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * The API keys that are good now. A file of keys is followed: what it holds is taken as a whole or not at all, so that a
 * slip in one key locks nobody out, and lets nobody in.
 */
export class KeyRing implements Disposable {
  readonly #fixed: readonly ApiKey[];
  readonly #log: KeyRingLog;
  readonly #watch: Disposable | null;
  #byName: ReadonlyMap<string, ApiKey>;
  #origins: ReadonlySet<string>;
  #isBroken = false;
  /** Called when the keys are others, and when they should be and a file that is not valid keeps them from it. */
  onChange: (change: KeyChange) => void = () => undefined;

  /** True where no keys were set up. A file makes it false for good, also where it is emptied: nobody has a key then. */
  readonly isOpen: boolean;

  constructor({ fixed, file, log }: KeyRingSettings) {
    this.#fixed = fixed;
    this.#log = log;
    this.#byName = byName([...fixed, ...(file?.keys ?? [])]);
    this.#origins = originsOf(this.#byName);
    this.isOpen = fixed.length === 0 && file === null;
    this.#watch = file && watchKeyFile(file.path, (state) => this.#read(state));
  }

  get keys(): Iterable<ApiKey> {
    return this.#byName.values();
  }

  named(name: string): ApiKey | undefined {
    return this.#byName.get(name);
  }

  /** Whether any key may be used by pages of this origin. */
  knowsOrigin(origin: string): boolean {
    return this.#origins.has(origin);
  }

  #read(state: FileState): void {
    const { keys, problems } =
      'text' in state ? checkKeys(state.text, this.#fixed) : { keys: null, problems: [state.problem] };
    if (keys) this.#take(byName([...this.#fixed, ...keys]));
    else this.#refuse(problems);
  }

  #refuse(problems: readonly string[]): void {
    this.#log.error({ problems }, 'API_KEYS_FILE is not valid: the API keys stay as they were');
    const wasBroken = this.#isBroken;
    this.#isBroken = true;
    // Once until it is mended: whoever mends it may save it many times.
    if (!wasBroken)
      this.onChange({ status: 'REJECTED', reason: 'API_KEYS_FILE is not valid: the keys stay as they were' });
  }

  #take(next: ReadonlyMap<string, ApiKey>): void {
    this.#isBroken = false;
    const [before, after] = [this.#byName, next];
    const added = [...after.values()].filter(({ name }) => !before.has(name));
    const removed = [...before.values()].filter(({ name }) => !after.has(name));
    const changed = [...after.values()].flatMap((key) => {
      const changes = differences(before.get(key.name) ?? key, key);
      return changes.length > 0 ? [{ ...shown(key), changes }] : [];
    });
    if (added.length + removed.length + changed.length === 0) return;
    this.#byName = next;
    this.#origins = originsOf(next);
    const told = { added: added.map(shown), removed: removed.map(shown), changed };
    this.#log.info(told, 'the API keys have changed');
    this.onChange({ status: 'SUCCESS', reason: reasonOf(told) });
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
  }
}

const byName = (keys: readonly ApiKey[]): ReadonlyMap<string, ApiKey> => new Map(keys.map((key) => [key.name, key]));

const originsOf = (keys: ReadonlyMap<string, ApiKey>): ReadonlySet<string> =>
  new Set([...keys.values()].flatMap(({ origins }) => origins ?? []));

/** What has become other with a key of the same name. Of the key itself nothing is told but that it is another. */
function differences(before: ApiKey, after: ApiKey): string[] {
  const told: string[] = [];
  if (before.sha256 !== after.sha256) told.push('exchanged');
  if (before.role !== after.role) told.push(`role was ${before.role}`);
  if (before.expiresAt?.getTime() !== after.expiresAt?.getTime())
    told.push(`expires ${dateOf(after)}, was ${dateOf(before)}`);
  if (JSON.stringify(before.origins) !== JSON.stringify(after.origins)) told.push('other origins');
  return told;
}

const dateOf = ({ expiresAt }: ApiKey): string => expiresAt?.toISOString() ?? 'never';

interface Shown {
  readonly name: string;
  readonly role: Role;
}

const shown = ({ name, role }: ApiKey): Shown => ({ name, role });

/** The change in a line. Names are quoted, since they may hold what separates them. */
function reasonOf(told: {
  readonly added: readonly Shown[];
  readonly removed: readonly Shown[];
  readonly changed: readonly (Shown & { readonly changes: readonly string[] })[];
}): string {
  const nameOf = ({ name, role }: Shown) => `${JSON.stringify(name)} (${role})`;
  const parts = {
    added: told.added.map(nameOf),
    removed: told.removed.map(nameOf),
    changed: told.changed.map(
      ({ name, role, changes }) => `${JSON.stringify(name)} (${[role, ...changes].join(', ')})`,
    ),
  };
  return Object.entries(parts)
    .flatMap(([what, names]) => (names.length > 0 ? [`${what}: ${names.join(', ')}`] : []))
    .join('; ');
}
