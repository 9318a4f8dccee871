import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { migrationDrift } from '../../scripts/make-migration.mjs';

const migrations = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
const schema = fileURLToPath(new URL('../../prisma/schema.prisma', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'drift-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('the migrations produce exactly what schema.prisma says', async () => {
  expect(await migrationDrift()).toBe('');
});

it('a change of schema.prisma without a migration is found', async () => {
  const changed = join(directory, 'schema.prisma');
  writeFileSync(
    changed,
    readFileSync(schema, 'utf8').replace('model MetricBucket {', 'model MetricBucket {\n  note String?'),
  );
  expect(await migrationDrift(migrations, changed)).toMatch(/ALTER TABLE "MetricBucket" ADD COLUMN "note" TEXT;/);
});

it('a migration without a change of schema.prisma is found', async () => {
  const copy = join(directory, 'migrations');
  cpSync(migrations, copy, { recursive: true });
  cpSync(join(copy, '20261122150001_append_only'), join(copy, '20270101000000_more'), { recursive: true });
  writeFileSync(join(copy, '20270101000000_more/migration.sql'), 'DROP INDEX "SessionEvent_requestId_idx";');
  expect(await migrationDrift(copy, schema)).toMatch(/CREATE INDEX "SessionEvent_requestId_idx"/);
});

it('a migration that does not run is named', async () => {
  const copy = join(directory, 'broken');
  cpSync(migrations, copy, { recursive: true });
  cpSync(join(copy, '20261122150001_append_only'), join(copy, '20270101000000_broken'), { recursive: true });
  writeFileSync(join(copy, '20270101000000_broken/migration.sql'), 'CREATE TABLE');
  await expect(migrationDrift(copy, schema)).rejects.toThrow(/20270101000000_broken.* failed to apply/);
});
