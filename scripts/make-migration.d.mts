/** The SQL that the migrations in `directory` lack of `schema` (both of this repository); empty when they agree. */
export function migrationDrift(directory?: string, schema?: string): Promise<string>;
