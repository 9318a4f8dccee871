import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { printGraphqlSchema } from './schema.js';

writeFileSync(fileURLToPath(new URL('../../schema.graphql', import.meta.url)), printGraphqlSchema());
