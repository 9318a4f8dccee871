/**
 * JSON in its one form (RFC 8785): keys sorted by their UTF-16 code units, no white space. Of values that JSON has, and dates;
 * what is undefined is left out. Keys must not be numbers: objects put those first.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
