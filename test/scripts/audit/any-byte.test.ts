import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import type { SqliteConnection } from '../../../src/store/sqlite-connection.js';
import { Template, verify, verifyAsServer } from './trail.js';

const ENTRIES = 24;
const template = new Template(ENTRIES);
afterAll(() => template.remove());

type Value = string | number | null;

/** SQL of the value with one of its bytes changed: of its UTF-8, its 8 bytes as a number; a NULL becomes a single byte. */
function changed(value: Value, isReal: boolean, at: number, mask: number): string {
  if (value === null) return mask % 2 === 0 ? `${mask}` : `CAST(x'${Buffer.of(mask).toString('hex')}' AS TEXT)`;
  const bytes = Buffer.alloc(8);
  if (typeof value === 'string') {
    const text = Buffer.from(value);
    text[at % text.length]! ^= mask;
    return `CAST(x'${text.toString('hex')}' AS TEXT)`;
  }
  if (isReal) {
    bytes.writeDoubleBE(value);
    bytes[at % 8]! ^= mask;
    const real = bytes.readDoubleBE();
    // An exponent keeps SQLite from making an integer of it.
    return Number.isNaN(real) ? 'NULL' : `${real}e0`.replace(/(e[+-]?\d+)e0$/, '$1').replace('Infinitye0', '9e999');
  }
  bytes.writeBigInt64BE(BigInt(value));
  bytes[at % 8]! ^= mask;
  // The smallest of all has no literal of its own.
  return `(${bytes.readBigInt64BE() + 1n} - 1)`;
}

function restore(db: SqliteConnection): void {
  db.exec('DELETE FROM "AuditEntry"; INSERT INTO "AuditEntry" SELECT * FROM "kept"');
}

it('any change of a single byte, in any column of any entry, is found where it is by both verifiers', async () => {
  const trail = await template.copy();
  const db = trail.open();
  try {
    db.exec('CREATE TEMP TABLE "kept" AS SELECT * FROM "AuditEntry"');
    const columns = db.all<{ name: string; type: string; isNullable: number }>(
      `SELECT "name", "type", NOT "notnull" AS "isNullable" FROM pragma_table_info('AuditEntry')`,
    );
    const property = fc.asyncProperty(
      fc.integer({ min: 1, max: ENTRIES }),
      fc.constantFrom(...columns),
      fc.nat(100),
      fc.integer({ min: 1, max: 255 }),
      fc.boolean(),
      async (sequence, { name, type, isNullable }, at, mask, toNull) => {
        const value = db.get<{ value: Value }>(
          `SELECT "${name}" AS "value" FROM "AuditEntry" WHERE "sequence" = ?`,
          sequence,
        )!.value;
        const isEmptied = toNull && isNullable === 1 && value !== null;
        const sql = isEmptied ? 'NULL' : changed(value, type === 'REAL', at, mask);
        db.exec(`UPDATE OR REPLACE "AuditEntry" SET "${name}" = ${sql} WHERE "sequence" = ${sequence}`);
        const { code, said } = await verify('--database', trail.path);
        const asServer = await verifyAsServer(db);
        restore(db);

        const [, broken] = said.match(/^broken at entry (-?\d+): /) ?? [];
        expect({ code, said }).toMatchObject({ code: 1 });
        expect(asServer).toMatchObject({ ok: false });
        // With another number it may be missed where it was, or be too many where it is.
        if (name === 'sequence') expect(Number(broken)).toBeLessThanOrEqual(sequence);
        else expect(Number(broken)).toBe(sequence);
        if (name === 'sequence') expect(asServer.firstBrokenSequence).toBeLessThanOrEqual(sequence);
        else expect(asServer.firstBrokenSequence).toBe(sequence);
      },
    );
    await fc.assert(property, { seed: 20_261_122, numRuns: 400 });
    expect(await verify('--database', trail.path)).toMatchObject({ code: 0 });
    expect(await verifyAsServer(db)).toMatchObject({ ok: true });
  } finally {
    db.close();
  }
});
