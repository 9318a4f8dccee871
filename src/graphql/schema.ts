import 'reflect-metadata';
import './enums.js';
import { type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { GraphQLDateTime } from 'graphql-scalars';
import { type AuthCheckerFn, buildSchemaSync } from 'type-graphql';
import { AuditResolver } from './audit-resolver.js';
import type { GraphqlContext, KnownCaller } from './context.js';
import { EventResolver } from './event-resolver.js';
import { forbiddenField } from './field-roles.js';
import { GuestResolver } from './guest-resolver.js';
import { MetricsResolver } from './metrics-resolver.js';
import { SessionResolver } from './session-resolver.js';
import { completeInTurns } from './turns.js';
import { WebhookResolver } from './webhook-resolver.js';

/** Hears of a caller whose role may not use a field, such as `Query.audits`, or `introspection`. */
export type ForbiddenListener = (caller: KnownCaller, field: string) => void;

function checkerOf(onForbidden: ForbiddenListener): AuthCheckerFn<GraphqlContext> {
  // A list asks for each of its rows: that is one refusal all the same.
  const told = new WeakMap<GraphqlContext, Set<string>>();
  return ({ context, info }, roles) => {
    const { caller } = context;
    if (roles.includes(caller.role)) return true;
    const field = `${info.parentType.name}.${info.fieldName}`;
    const fields = told.get(context) ?? new Set();
    told.set(context, fields);
    if (!fields.has(field)) onForbidden(caller, field);
    fields.add(field);
    throw forbiddenField(caller.role, info.fieldName);
  };
}

/** The GraphQL schema of DESIGN §3; `schema.graphql` is its print. */
export const buildGraphqlSchema = (onForbidden: ForbiddenListener = () => undefined): GraphQLSchema =>
  completeInTurns(
    buildSchemaSync({
      resolvers: [SessionResolver, GuestResolver, AuditResolver, EventResolver, MetricsResolver, WebhookResolver],
      scalarsMap: [{ type: Date, scalar: GraphQLDateTime }],
      authChecker: checkerOf(onForbidden),
      validate: false,
      // It would run the introspection query over the schema at each start; Apollo Server checks the schema again anyway.
      skipCheck: true,
      // type-graphql asks for one, though every subscription here brings its own stream. Its default ends the process when a
      // subscriber is slow, so nothing may fall back on it.
      pubSub: {
        publish: () => {
          throw new Error('subscriptions follow the event log, not a pub/sub');
        },
        subscribe: () => {
          throw new Error('subscriptions follow the event log, not a pub/sub');
        },
      },
    }),
  );

/** `schema.graphql` as it is kept in the repository: sorted, so that a diff shows what changed and nothing else. */
export const printGraphqlSchema = (): string => `${printSchema(lexicographicSortSchema(buildGraphqlSchema()))}\n`;
