/**
 * Reads `Retry-After` (RFC 9110 §10.2.3): whole seconds or an HTTP date.
 * @returns milliseconds to wait, 0 for a date that has passed, null for no header or one that cannot be read
 */
export function parseRetryAfterMs(header: string | null, now: Date): number | null {
  const value = header?.trim() ?? '';
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1000, Number.MAX_SAFE_INTEGER);
  if (!HTTP_DATE.test(value)) return null;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - now.getTime());
}

/** IMF-fixdate, the one form that RFC 9110 §5.6.7 lets a server send; `Date.parse` alone would take "7 apples" for a date. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;
