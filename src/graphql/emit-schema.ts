import { writeFileSync } from 'node:fs';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { buildGraphqlSchema } from './schema.js';

/** `schema.graphql` as it is kept in the repository: sorted, so that a diff shows what changed and nothing else. */
export const printGraphqlSchema = (): string => `${printSchema(lexicographicSortSchema(buildGraphqlSchema()))}\n`;

if (import.meta.url === new URL(`file://${process.argv[1]}`).href)
  writeFileSync('schema.graphql', printGraphqlSchema());
