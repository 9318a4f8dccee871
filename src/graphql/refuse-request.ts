import { type DocumentNode, type GraphQLError, Kind, type SelectionSetNode } from 'graphql';
import type { Role } from '../access-settings.js';
import type { KnownCaller } from './context.js';
import { forbidden } from './error-format.js';
import { costOf, type Execution } from './limit-cost.js';
import { type RequestLimits, refusalOf } from './request-limits.js';
import type { ForbiddenListener } from './schema.js';

/** Whether a caller may look at the schema from here: by introspection, and in what errors suggest. */
export const maySeeSchema = ({ role }: { readonly role: Role }): boolean => role === 'OPS';

/** Refuses a document that asks for the schema to whoever may not see it. @param onForbidden hears of that */
export function refuseIntrospection(
  document: DocumentNode,
  caller: KnownCaller,
  onForbidden: ForbiddenListener,
): GraphQLError | undefined {
  if (maySeeSchema(caller)) return undefined;
  const sets = document.definitions.map((definition) => 'selectionSet' in definition && definition.selectionSet);
  if (!sets.some((set) => set && introspects(set))) return undefined;
  onForbidden(caller, 'introspection');
  return forbidden(`A key with the role ${caller.role} may not use introspection. Read schema.graphql.`);
}

/**
 * What is wrong with a valid document for these variables: apart from validation, whose results are kept for all who send the
 * same text.
 */
export function refuseCost(execution: Execution, limits: RequestLimits): GraphQLError | undefined {
  const cost = costOf(execution);
  if (cost <= limits.cost) return undefined;
  return refusalOf(`It costs ${cost}; at most ${limits.cost} is answered.`, 'MAX_QUERY_COST', execution.operation);
}

/** `__schema` and `__type` are fields of the root alone, but fragments may stand in between. */
const introspects = ({ selections }: SelectionSetNode): boolean =>
  selections.some((selection) => {
    if (selection.kind === Kind.INLINE_FRAGMENT) return introspects(selection.selectionSet);
    return selection.kind === Kind.FIELD && ['__schema', '__type'].includes(selection.name.value);
  });

/** Takes away what an error suggests: whoever may not read the schema could guess it, name by name. */
export function withoutSuggestion(error: GraphQLError): GraphQLError {
  error.message = error.message.replace(/ ?Did you mean [^?]+\?/g, '');
  return error;
}
