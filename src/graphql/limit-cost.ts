import {
  type ArgumentNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  TypeMetaFieldDef,
  type ValueNode,
} from 'graphql';

/** What a list is taken to hold whose length the request does not say: a session's events, its audits, a webhook's tries. */
const USUAL_LENGTH = 10;
const MAX_PAGE_SIZE = 100;
/** Reads the whole trail: two in one request are enough. */
const HEAVY: ReadonlyMap<string, number> = new Map([['Query.verifyAuditTrail', 2_000]]);

const INTROSPECTION = [SchemaMetaFieldDef, TypeMetaFieldDef];
/** What it gives is at hand: the whole schema takes no longer than a page of sessions. */
const INTROSPECTION_SHARE = 1 / 25;

export interface Execution {
  readonly schema: GraphQLSchema;
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  readonly variables: Readonly<Record<string, unknown>> | null | undefined;
}

/**
 * How many objects an operation may have us read and write: one for each field that gives an object, times the length of the
 * lists around it. What a page holds is `first`; other lists are taken to hold ten, but for the types of the schema, whose number
 * is known. Scalars are free, as their number is bound by the tokens, and introspection is nearly so.
 */
export function costOf({ schema, document, operation, variables }: Execution): number {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  // By the page that it is spread in, too; pages are few, since they cannot stand side by side but by aliases.
  const known = new Map<string, number>();

  const costOfSelections = ({ selections }: SelectionSetNode, parent: GraphQLNamedType | undefined, page: number) => {
    let cost = 0;
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) cost += costOfField(selection, parent, page);
      else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const type = selection.typeCondition ? schema.getType(selection.typeCondition.name.value) : parent;
        cost += costOfSelections(selection.selectionSet, type, page);
      } else cost += costOfFragment(selection.name.value, page);
    }
    return cost;
  };

  const costOfFragment = (name: string, page: number): number => {
    const key = `${name} ${page}`;
    const before = known.get(key);
    const fragment = fragments.get(name);
    if (before !== undefined || !fragment) return before ?? 0;
    const type = schema.getType(fragment.typeCondition.name.value);
    const cost = costOfSelections(fragment.selectionSet, type, page);
    known.set(key, cost);
    return cost;
  };

  const costOfField = (node: FieldNode, parent: GraphQLNamedType | undefined, page: number): number => {
    if (!node.selectionSet || !(isObjectType(parent) || isInterfaceType(parent))) return 0;
    const field = parent.getFields()[node.name.value] ?? INTROSPECTION.find((each) => each.name === node.name.value);
    if (!field) return 0;
    if (INTROSPECTION.includes(field)) return INTROSPECTION_SHARE * costOfIntrospection(node.selectionSet, field);
    const length = isListType(getNullableType(field.type)) ? page : 1;
    const pageInside = pageOf(field, node.arguments ?? [], { operation, variables }) ?? USUAL_LENGTH;
    const own = HEAVY.get(`${parent.name}.${field.name}`) ?? 1;
    return length * (own + costOfSelections(node.selectionSet, getNamedType(field.type), pageInside));
  };

  const costOfIntrospection = (selections: SelectionSetNode, field: GraphQLField<unknown, unknown>): number => {
    const length = field === SchemaMetaFieldDef ? Object.keys(schema.getTypeMap()).length : USUAL_LENGTH;
    return costOfSelections(selections, getNamedType(field.type), length);
  };

  const root = schema.getRootType(operation.operation) ?? undefined;
  return Math.ceil(costOfSelections(operation.selectionSet, root, USUAL_LENGTH));
}

/** The `first` of a field that has one; the most where it cannot be read, which is then refused as an argument. */
function pageOf(
  { args }: GraphQLField<unknown, unknown>,
  given: readonly ArgumentNode[],
  { operation, variables }: Pick<Execution, 'operation' | 'variables'>,
): number | undefined {
  const definition = args.find(({ name }) => name === 'first');
  if (!definition) return undefined;
  let value: ValueNode | undefined = given.find(({ name }) => name.value === 'first')?.value;
  let first: unknown;
  if (value?.kind === Kind.VARIABLE) {
    const { name } = value;
    first = variables?.[name.value];
    value = operation.variableDefinitions?.find(({ variable }) => variable.name.value === name.value)?.defaultValue;
  }
  first ??= value?.kind === Kind.INT ? Number(value.value) : (value ?? definition.defaultValue);
  return Number.isInteger(first) ? Math.min(Math.max(Number(first), 1), MAX_PAGE_SIZE) : MAX_PAGE_SIZE;
}
