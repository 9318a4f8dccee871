import { type DocumentNode, type GraphQLError, getVariableValues, Kind, type SelectionSetNode } from 'graphql';
import type { Role } from '../access-settings.js';
import type { KnownCaller } from './context.js';
import { badUserInput, forbidden } from './error-format.js';
import { costOf, type Execution } from './limit-cost.js';
import { type RequestLimits, refusalOf, VALIDATION_OPTIONS } from './request-limits.js';
import type { ForbiddenListener } from './schema.js';
import { withoutValues } from './without-values.js';

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
export function refuseRequest(execution: Execution, limits: RequestLimits): GraphQLError | undefined {
  const wrong = refuseVariables(execution);
  if (wrong) return wrong;
  const cost = costOf(execution);
  if (cost <= limits.cost) return undefined;
  return refusalOf(`It costs ${cost}; at most ${limits.cost} is answered.`, 'MAX_QUERY_COST', execution.operation);
}

/**
 * What is wrong with variables that are wrong in too many places. GraphQL would tell of fifty, each with all of the value that
 * it is in, and then of a fault of its own. Of fewer it tells when it executes.
 */
function refuseVariables({ schema, operation, variables }: Execution): GraphQLError | undefined {
  const { maxErrors } = VALIDATION_OPTIONS;
  const definitions = operation.variableDefinitions ?? [];
  const { errors = [] } = getVariableValues(schema, definitions, variables ?? {}, { maxErrors, hideSuggestions: true });
  if (errors.length <= maxErrors) return undefined;
  const [first] = errors;
  return badUserInput(`The variables have more than ${maxErrors} errors. The first: ${first && withoutValues(first)}`);
}

/** `__schema` and `__type` are fields of the root alone, but fragments may stand in between. */
const introspects = ({ selections }: SelectionSetNode): boolean =>
  selections.some((selection) => {
    if (selection.kind === Kind.INLINE_FRAGMENT) return introspects(selection.selectionSet);
    return selection.kind === Kind.FIELD && ['__schema', '__type'].includes(selection.name.value);
  });

/** Takes away what an error suggests: whoever may not read the schema could guess it, name by name. */
export function withoutSuggestion(error: GraphQLError): GraphQLError {
  // Bounded, since a value that is repeated may hold these words thousands of times.
  error.message = error.message.replace(/ ?Did you mean [^?]{1,400}\?/g, '');
  return error;
}
