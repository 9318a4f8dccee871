import type { ApiKey } from '../access-settings.js';
import { checkKeys } from '../key-formats.js';
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
  /** Called when the keys are others. */
  onChange: () => void = () => undefined;

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
    else this.#log.error({ problems }, 'API_KEYS_FILE is not valid: the API keys stay as they were');
  }

  #take(next: ReadonlyMap<string, ApiKey>): void {
    const [before, after] = [this.#byName, next];
    const added = [...after.values()].filter(({ name }) => !before.has(name));
    const removed = [...before.values()].filter(({ name }) => !after.has(name));
    const changed = [...after.values()].filter((key) => isOther(before.get(key.name), key));
    if (added.length + removed.length + changed.length === 0) return;
    this.#byName = next;
    this.#origins = originsOf(next);
    const told = { added: added.map(shown), removed: removed.map(shown), changed: changed.map(shown) };
    this.#log.info(told, 'the API keys have changed');
    this.onChange();
  }

  [Symbol.dispose](): void {
    this.#watch?.[Symbol.dispose]();
  }
}

const byName = (keys: readonly ApiKey[]): ReadonlyMap<string, ApiKey> => new Map(keys.map((key) => [key.name, key]));

const originsOf = (keys: ReadonlyMap<string, ApiKey>): ReadonlySet<string> =>
  new Set([...keys.values()].flatMap(({ origins }) => origins ?? []));

/** Whether a key of the same name is another one now. */
const isOther = (before: ApiKey | undefined, after: ApiKey): boolean =>
  before !== undefined && textOf(before) !== textOf(after);

const textOf = ({ role, sha256, origins, expiresAt }: ApiKey): string =>
  JSON.stringify([role, sha256, origins, expiresAt]);

const shown = ({ name, role }: ApiKey) => ({ name, role });
