import {
  type ASTVisitor,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  type SelectionSetNode,
  specifiedRules,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';

/** More than any page of ours needs: `sessions { edges { node { events { session { audits { hash } } } } } }` has 7. */
const MAX_DEPTH = 8;

/**
 * Refuses documents that go too deep. Types refer to each other (a session has events, an event its session), and every round
 * multiplies the answer. (How wide a document may be is bounded by its tokens alone.) Introspection has a
 * limit of its own among GraphQL's rules.
 */
function limitDepth(context: ValidationContext): ASTVisitor {
  const depths = new Map<FragmentDefinitionNode, number>();

  const depthOfFragment = (name: string): number => {
    const fragment = context.getFragment(name);
    if (!fragment) return 0; // another rule tells
    const known = depths.get(fragment);
    if (known !== undefined) return known;
    depths.set(fragment, 0); // a fragment within itself is another rule's to tell, and must not be followed for ever
    const depth = depthOf(fragment.selectionSet);
    depths.set(fragment, depth);
    return depth;
  };

  const depthOf = ({ selections }: SelectionSetNode): number =>
    Math.max(
      ...selections.map((selection) => {
        if (selection.kind === Kind.FRAGMENT_SPREAD) return depthOfFragment(selection.name.value);
        if (selection.kind === Kind.INLINE_FRAGMENT) return depthOf(selection.selectionSet);
        if (selection.name.value.startsWith('__')) return 0;
        return 1 + (selection.selectionSet ? depthOf(selection.selectionSet) : 0);
      }),
    );

  return {
    OperationDefinition(operation) {
      const depth = depthOf(operation.selectionSet);
      if (depth <= MAX_DEPTH) return;
      const message = `The document is ${depth} levels deep; at most ${MAX_DEPTH} are answered.`;
      context.reportError(new GraphQLError(message, { nodes: operation }));
    },
  };
}

/** Our own rules, on top of those of GraphQL. */
export const EXTRA_RULES: readonly ValidationRule[] = [limitDepth];

/** What a document has to keep to, over HTTP and over sockets. */
export const VALIDATION_RULES: readonly ValidationRule[] = [...specifiedRules, ...EXTRA_RULES];
