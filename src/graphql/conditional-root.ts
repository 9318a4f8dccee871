import {
  type DirectiveNode,
  type DocumentNode,
  GraphQLError,
  Kind,
  OperationTypeNode,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';

const CONDITIONS: ReadonlySet<string> = new Set(['skip', 'include']);

/**
 * Refuses subscriptions that leave out what is at their root now and then (GraphQL, September 2025, §5.2.4.1). graphql-js'
 * own rule for that root works the conditions out without the variables, and throws where it cannot.
 */
export function refuseConditionalRoot(document: DocumentNode, context: ValidationContext): GraphQLError | undefined {
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    if (definition.operation !== OperationTypeNode.SUBSCRIPTION) continue;
    const condition = findCondition(definition.selectionSet, context, new Set());
    if (condition) {
      const message = 'A subscription has one field at its root, always: @skip and @include cannot stand there.';
      return new GraphQLError(message, { nodes: condition });
    }
  }
  return undefined;
}

/** @param seen the names of the fragments that were looked at: each is looked at once, however often it is spread */
function findCondition(
  { selections }: SelectionSetNode,
  context: ValidationContext,
  seen: Set<string>,
): DirectiveNode | undefined {
  for (const selection of selections) {
    const own = selection.directives?.find(({ name }) => CONDITIONS.has(name.value));
    if (own) return own;
    let within: SelectionSetNode | undefined;
    if (selection.kind === Kind.INLINE_FRAGMENT) within = selection.selectionSet;
    else if (selection.kind === Kind.FRAGMENT_SPREAD && !seen.has(selection.name.value)) {
      seen.add(selection.name.value);
      within = context.getFragment(selection.name.value)?.selectionSet;
    }
    const found = within && findCondition(within, context, seen);
    if (found) return found;
  }
  return undefined;
}
