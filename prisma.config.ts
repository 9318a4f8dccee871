import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'prisma/config';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Every prisma command first asks for a native schema engine, which has to be downloaded; `generate`, `validate` and
// `format` never run it. This file is read before that check, so it can name a file that is there.
const engines = at('node_modules/@prisma/engines');
const hasNativeEngine = existsSync(engines) && readdirSync(engines).some((name) => name.startsWith('schema-engine-'));
if (!hasNativeEngine) process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= at('prisma/schema.prisma');

export default defineConfig({
  schema: at('prisma/schema.prisma'),
  migrations: { path: at('prisma/migrations') },
  datasource: { url: process.env.DATABASE_URL ?? 'file:./data/guest-sessions.db' },
});
