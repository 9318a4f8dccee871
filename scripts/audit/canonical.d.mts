export const GENESIS_HASH: string;

/** The hash of an entry: of the hash before it and its canonical form. */
export function link(previousHash: string, text: string): string;

/** Whether an entry with these members, in this order, is of a version that we know. */
export function isKnownForm(names: readonly string[]): boolean;

/** How the entries of a table with these columns are written; undefined for a table that we do not know. */
export function canonicalForm(names: readonly string[]):
  | {
      readonly names: readonly string[];
      readonly texts: readonly string[];
      readonly write: (values: readonly unknown[], quote?: (text: string) => string) => string;
    }
  | undefined;
