export const GENESIS_HASH: string;

/** The hash of an entry: of the hash before it and its canonical form. */
export function link(previousHash: string, text: string): string;

/** How entries with these members are written; undefined for members that no version has. */
export function canonicalForm(names: readonly string[]):
  | {
      readonly names: readonly string[];
      readonly texts: readonly string[];
      readonly write: (values: readonly unknown[], quote?: (text: string) => string) => string;
    }
  | undefined;
