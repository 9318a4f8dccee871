/** What can be bound: a Date as whole milliseconds since 1970, a boolean as 0 or 1, undefined as NULL. */
export type SqlValue = string | number | boolean | Date | Uint8Array | null | undefined;

const MAX_INT32 = 2 ** 31 - 1;

/**
 * Converts in place: the array is the rest parameter of the caller, made for this call alone.
 * @throws TypeError for what SQLite would keep as something else: NaN, an infinity, an invalid date, text with a NUL
 */
export function bindable(parameters: SqlValue[]): unknown[] {
  const values: unknown[] = parameters;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (typeof value === 'string') assertBindableText(value);
    else if (typeof value === 'number') values[i] = bindableNumber(value);
    else if (value === undefined) values[i] = null;
    else if (typeof value === 'boolean') values[i] = value ? 1 : 0;
    else if (value instanceof Date) values[i] = bindableNumber(value.getTime());
  }
  return values;
}

/**
 * The driver silently cuts text at a NUL: what the audit trail has hashed would not be what it holds.
 * @throws TypeError
 */
export function assertBindableText(value: string): void {
  if (value.includes('\0')) throw new TypeError('SQLite cannot keep text with a NUL character in it');
}

/** The driver binds a number beyond 32 bits as REAL: such an integer has to go as a bigint. */
function bindableNumber(value: number): number | bigint {
  if (!Number.isFinite(value)) throw new TypeError(`SQLite cannot keep ${value}: it is no finite number or valid date`);
  return Number.isSafeInteger(value) && (value > MAX_INT32 || value < -MAX_INT32) ? BigInt(value) : value;
}
