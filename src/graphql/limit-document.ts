import {
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLError,
  Kind,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import { refuseConditionalRoot } from './conditional-root.js';
import { type RequestLimits, refusalOf } from './request-limits.js';

/** How much a part of a document asks for, its fragments written out. */
interface Extent {
  readonly depth: number;
  readonly aliases: number;
  readonly directives: number;
}

const NOTHING: Extent = { depth: 0, aliases: 0, directives: 0 };

/**
 * Refuses documents that ask for too much: too many operations, aliases or directives, or too deep. Types refer to each other
 * (a session has events, an event its session), and every round multiplies the answer.
 *
 * It looks before the other rules do, and takes what it refuses away from them: some of GraphQL's own rules compare every field
 * with every other, one throws for the root of a subscription, and each of them would add errors of its own.
 */
export const limitDocument =
  (limits: RequestLimits): ValidationRule =>
  (context) => {
    const document = context.getDocument();
    const refusal = refuseDocument(document, context, limits) ?? refuseConditionalRoot(document, context);
    if (refusal) {
      context.reportError(refusal);
      Object.assign(document, { definitions: [] });
    }
    return {};
  };

function refuseDocument(
  document: DocumentNode,
  context: ValidationContext,
  limits: RequestLimits,
): GraphQLError | undefined {
  // Whoever tells where an error is counts the lines before it, once for each error.
  if (hasMoreLines(document.loc?.source.body ?? '', limits.tokens))
    return refusalOf(
      `It has more than ${limits.tokens} lines, the most that may have a token.`,
      'MAX_QUERY_TOKENS',
      document,
    );
  const measure = new Measure(context);
  let operations = 0;
  let fragments = 0;
  for (const definition of document.definitions) {
    const isOperation = definition.kind === Kind.OPERATION_DEFINITION;
    if (!isOperation && definition.kind !== Kind.FRAGMENT_DEFINITION) continue; // another rule tells
    // Fragments too: one that nothing uses is looked at by the other rules all the same.
    const { depth, aliases, directives } = measure.definition(definition);
    if (isOperation) operations += 1;
    else fragments += 1;
    const refuse = (what: string, setting: string) => refusalOf(what, setting, definition);
    if (isOperation && depth > limits.depth)
      return refuse(`It is ${depth} levels deep; at most ${limits.depth} are answered.`, 'MAX_QUERY_DEPTH');
    if (aliases > limits.aliases)
      return refuse(
        `It has more than ${limits.aliases} aliases. Fields and fragments that are repeated side by side count as such.`,
        'MAX_QUERY_ALIASES',
      );
    if (directives > limits.directives)
      return refuse(`It has more than ${limits.directives} directives.`, 'MAX_QUERY_DIRECTIVES');
    if (fragments > limits.fragments)
      return refuse(`It has more than ${limits.fragments} fragments.`, 'MAX_QUERY_FRAGMENTS');
    if (operations > limits.operations)
      return refuse(`It has more than ${limits.operations} operation(s).`, 'MAX_QUERY_OPERATIONS');
  }
  return undefined;
}

function hasMoreLines(text: string, limit: number): boolean {
  const breaks = text.matchAll(/\r\n|[\n\r]/g);
  for (let lines = 1; lines <= limit; lines += 1) if (breaks.next().done) return false;
  return true;
}

/** Each fragment is looked at once, however often it is spread: fragments within fragments double with every line. */
class Measure {
  readonly #context: ValidationContext;
  readonly #known = new Map<FragmentDefinitionNode, Extent>();

  constructor(context: ValidationContext) {
    this.#context = context;
  }

  definition(definition: OperationDefinitionNode | FragmentDefinitionNode): Extent {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) return this.#fragment(definition);
    let directives = definition.directives?.length ?? 0;
    for (const variable of definition.variableDefinitions ?? []) directives += variable.directives?.length ?? 0;
    return plus(this.#selections(definition.selectionSet), { ...NOTHING, directives });
  }

  #fragment(fragment: FragmentDefinitionNode): Extent {
    const known = this.#known.get(fragment);
    if (known) return known;
    this.#known.set(fragment, NOTHING); // one within itself is another rule's to tell, and must not be followed for ever
    const directives = fragment.directives?.length ?? 0;
    const extent = plus(this.#selections(fragment.selectionSet), { ...NOTHING, directives });
    this.#known.set(fragment, extent);
    return extent;
  }

  /** @param names what was named so far in the set: a fragment without a name is part of the set that it stands in */
  #selections({ selections }: SelectionSetNode, names = new Set<string>()): Extent {
    let extent = NOTHING;
    for (const selection of selections) {
      const name = nameOf(selection);
      const isAlias =
        name !== null && (names.has(name) || (selection.kind === Kind.FIELD && selection.alias !== undefined));
      if (name !== null) names.add(name);
      const own = { depth: 0, aliases: isAlias ? 1 : 0, directives: selection.directives?.length ?? 0 };
      extent = plus(plus(extent, own), this.#within(selection, names));
    }
    return extent;
  }

  #within(selection: SelectionNode, names: Set<string>): Extent {
    if (selection.kind === Kind.INLINE_FRAGMENT) return this.#selections(selection.selectionSet, names);
    if (selection.kind === Kind.FRAGMENT_SPREAD) {
      const fragment = this.#context.getFragment(selection.name.value);
      return fragment ? this.#fragment(fragment) : NOTHING; // another rule tells
    }
    const inside = selection.selectionSet ? this.#selections(selection.selectionSet) : NOTHING;
    // Introspection has a limit of depth of its own among GraphQL's rules.
    return { ...inside, depth: selection.name.value.startsWith('__') ? 0 : 1 + inside.depth };
  }
}

const plus = (one: Extent, other: Extent): Extent => ({
  depth: Math.max(one.depth, other.depth),
  aliases: one.aliases + other.aliases,
  directives: one.directives + other.directives,
});

/** What two selections of a set have in common that ask for the same; a fragment without a name is what is in it. */
function nameOf(selection: SelectionNode): string | null {
  if (selection.kind === Kind.FIELD) return selection.alias?.value ?? selection.name.value;
  return selection.kind === Kind.FRAGMENT_SPREAD ? `...${selection.name.value}` : null;
}
