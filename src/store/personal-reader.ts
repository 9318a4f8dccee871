import type { GuestKey, Personal } from './guest-key.js';

/** What a row holds of a person, sealed. */
export interface SealedRow {
  /** The name of the guest's key; null where there is no guest. */
  readonly guestId: string | null;
  readonly personal: string | null;
}

/** Of a person whose key, or whose row, is damaged: nobody knows who it is. */
export const UNREADABLE: Personal = { guestId: 'unreadable' };

/**
 * Opens what the rows of one page hold of persons, looking each guest's key up once. What is damaged is told as that, and a
 * warning of the process says so: it must not keep the rows beside it from being read, swept or sent. Not to be kept: it would
 * remember keys that were destroyed.
 */
export class PersonalReader {
  readonly #find: (name: string) => GuestKey | null;
  readonly #keys = new Map<string, GuestKey | null>();

  /** @param find gives the key of a name; null where it was destroyed */
  constructor(find: (name: string) => GuestKey | null) {
    this.#find = find;
  }

  /** {@link UNREADABLE} where it is damaged, null where there is no guest, or none any more. */
  personalOf({ guestId: name, personal }: SealedRow, context: string): Personal | null {
    if (name === null || personal === null) return null;
    return this.#open(name, UNREADABLE, (key) => key.unsealPersonal(personal, context));
  }

  /** Null where it is damaged, or the guest is gone. */
  textOf(name: string, sealed: string, context: string): string | null {
    return this.#open(name, null, (key) => key.unseal(sealed, context));
  }

  #open<T>(name: string, damaged: T, open: (key: GuestKey) => T): T | null {
    try {
      let key = this.#keys.get(name);
      if (key === undefined) {
        key = this.#find(name);
        this.#keys.set(name, key);
      }
      return key && open(key);
    } catch (error) {
      warnOf(name, error as Error);
      return damaged;
    }
  }
}

const MOST_WARNED_OF = 1_000;
const warnedOf = new Set<string>();

/** Once of each: a sweep comes back to it every moment. */
function warnOf(name: string, { message }: Error): void {
  if (warnedOf.has(name) || warnedOf.size >= MOST_WARNED_OF) return;
  warnedOf.add(name);
  process.emitWarning(`what the books hold of the guest ${name} cannot be read: ${message}`, 'DamagedPersonalData');
}
