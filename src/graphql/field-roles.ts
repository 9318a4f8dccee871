import {
  type DocumentNode,
  type GraphQLError,
  type GraphQLField,
  type GraphQLSchema,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { Extensions, Authorized as TypeGraphqlAuthorized } from 'type-graphql';
import type { Role } from '../access-settings.js';
import type { KnownCaller } from './context.js';
import { forbidden } from './error-format.js';
import type { ForbiddenListener } from './schema.js';

/** Who may use a field; the schema can be asked for that, which type-graphql's own decorator does not tell. */
export const Authorized =
  (...roles: readonly Role[]) =>
  (target: object, key: string | symbol): void => {
    TypeGraphqlAuthorized(...roles)(target, key);
    Extensions({ roles })(target, key);
  };

/** Undefined: everybody may use it. */
const rolesOf = ({ extensions }: GraphQLField<unknown, unknown>): readonly Role[] | undefined =>
  extensions.roles as readonly Role[] | undefined;

const mayUse = (field: GraphQLField<unknown, unknown>, role: Role): boolean => rolesOf(field)?.includes(role) ?? true;

/** Whether there is anything that a role may subscribe to. */
export const maySubscribe = (schema: GraphQLSchema, role: Role): boolean =>
  Object.values(schema.getSubscriptionType()?.getFields() ?? {}).some((field) => mayUse(field, role));

/** What an error says of a field that a role may not use. */
export const forbiddenField = (role: Role, fieldName: string): GraphQLError =>
  forbidden(`A key with the role ${role} may not use "${fieldName}".`);

/**
 * Refuses an operation that asks for what the caller's role may not see. For subscriptions: what is found only when an event is
 * executed, for many at once, is found for none of them by name.
 * @param onForbidden hears of each such field
 */
export function refuseFields(
  {
    schema,
    document,
    operation,
  }: { schema: GraphQLSchema; document: DocumentNode; operation: OperationDefinitionNode },
  caller: KnownCaller,
  onForbidden: ForbiddenListener,
): readonly GraphQLError[] {
  const types = new TypeInfo(schema);
  const fields = new Map<string, string>();
  visit(
    document,
    visitWithTypeInfo(types, {
      OperationDefinition: (each) => (each === operation ? undefined : false),
      Field: ({ name }) => {
        const field = types.getFieldDef();
        if (field && !mayUse(field, caller.role))
          fields.set(`${types.getParentType()?.name}.${name.value}`, name.value);
      },
    }),
  );
  return [...fields].map(([path, name]) => {
    onForbidden(caller, path);
    return forbiddenField(caller.role, name);
  });
}
