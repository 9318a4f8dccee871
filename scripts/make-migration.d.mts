/** The SQL that the migrations in `directory` lack of `schema` (both of this repository); empty when they agree. */
export function migrationDrift(directory?: string, schema?: string): Promise<string>;

/** How a database stands to the migrations of this repository, in the judgement of Prisma's own engine. */
export function diagnoseDatabase(path: string): Promise<{
  readonly history: unknown;
  readonly failedMigrationNames: readonly string[];
  readonly editedMigrationNames: readonly string[];
  readonly hasMigrationsTable: boolean;
}>;
