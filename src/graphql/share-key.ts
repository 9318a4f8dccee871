import { createHash } from 'node:crypto';
import { type DocumentNode, getOperationAST, Kind, type OperationDefinitionNode, visit } from 'graphql';

export interface SharedBy {
  readonly role: string;
  readonly query: string;
  readonly operationName?: string | null | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
}

/**
 * What two subscriptions must have in common for each event to look the same to both: what is asked, with which variables,
 * by which role. Variables that only say where to start do not count. A hash, because documents may be long, and each group keeps
 * its key.
 */
export function shareKey(document: DocumentNode, { role, query, operationName, variables }: SharedBy): string {
  const operation = getOperationAST(document, operationName);
  const starts = operation ? startVariables(document, operation) : new Set();
  // Those that the operation declares, in its order: others change nothing. One that is null differs from none.
  const names = (operation?.variableDefinitions ?? []).map(({ variable }) => variable.name.value);
  const values = names
    .filter((name) => !starts.has(name) && variables?.[name] !== undefined)
    .map((name) => [name, variables?.[name]]);
  return createHash('sha256')
    .update(JSON.stringify([role, operationName ?? null, query, values]))
    .digest('base64');
}

/** Variables that are used only as the argument `after` of a field of the root. */
function startVariables(document: DocumentNode, operation: OperationDefinitionNode): ReadonlySet<string> {
  const uses = new Map<string, number>();
  const count = (name: string, by: number) => uses.set(name, (uses.get(name) ?? 0) + by);
  visit(document, {
    OperationDefinition: (each) => (each === operation ? undefined : false), // the variables of another are others
    VariableDefinition: () => false,
    Variable: ({ name }) => void count(name.value, 1),
  });
  const starts = new Set<string>();
  for (const field of operation.selectionSet.selections) {
    if (field.kind !== Kind.FIELD) continue;
    for (const { name, value } of field.arguments ?? []) {
      if (name.value !== 'after' || value.kind !== Kind.VARIABLE) continue;
      starts.add(value.name.value);
      count(value.name.value, -1);
    }
  }
  for (const name of starts) if (uses.get(name) !== 0) starts.delete(name);
  return starts;
}

/**
 * Whether a subscription asks for more than the event itself, such as the session as it stands now: what it gives then is
 * true for a while only.
 */
export function readsMoreThanTheEvent(document: DocumentNode): boolean {
  let nested = 0;
  visit(document, {
    Field: ({ selectionSet }) => {
      if (selectionSet) nested += 1;
    },
  });
  return nested > 1;
}
