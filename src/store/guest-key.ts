import { seal, unseal } from './aes-gcm.js';

/** What identifies a person, and the words of others about it. What is null or missing is not known. */
export interface Personal {
  readonly guestId: string;
  readonly crmId?: string | null | undefined;
  /** At CXone. */
  readonly sessionId?: string | null | undefined;
  readonly reason?: string | null | undefined;
  /** Pseudonymised. */
  readonly sourceAddress?: string | null | undefined;
}

/** A name stands for a guest in rows, and says nothing of it once the key is destroyed. */
const NAME = /^gk_([1-9][0-9]*)$/;

export const guestNameOf = (id: number): string => `gk_${id}`;

/** @returns null for what is no name: an id of a guest, from before personal data was sealed */
export const guestKeyIdOf = (name: string): number | null => {
  const [, id] = NAME.exec(name) ?? [];
  return id === undefined ? null : Number(id);
};

/** The key of one guest: what identifies it is sealed under it wherever it is kept, and gone everywhere with it. */
export class GuestKey {
  readonly #key: Buffer;

  constructor(
    /** `gk_` and a number: stands for the guest in rows. */
    readonly name: string,
    key: Buffer,
  ) {
    this.#key = key;
  }

  /** @param context the row that it is kept in: it can be opened there alone */
  seal(text: string, context: string): string {
    return seal(this.#key, text, context);
  }

  /** @throws Error when it was sealed elsewhere, or was tampered with */
  unseal(sealed: string, context: string): string {
    return unseal(this.#key, sealed, context);
  }

  sealPersonal(personal: Personal, context: string): string {
    const known = Object.entries(personal).filter(([, value]) => value != null);
    return this.seal(JSON.stringify(Object.fromEntries(known)), context);
  }

  /** @throws Error as {@link unseal} does */
  unsealPersonal(sealed: string, context: string): Personal {
    return JSON.parse(this.unseal(sealed, context)) as Personal;
  }
}
