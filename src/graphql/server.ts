import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { GraphQLError, type GraphQLSchema } from 'graphql';
import { apolloLog } from './apollo-log.js';
import type { GraphqlContext } from './context.js';
import { badUserInput, formatError } from './error-format.js';
import { limitDocument } from './limit-document.js';
import { maySeeSchema, refuseIntrospection, refuseRequest, withoutSuggestion } from './refuse-request.js';
import { type RequestLimits, VALIDATION_OPTIONS } from './request-limits.js';
import type { ForbiddenListener } from './schema.js';

/** What depends on who asks, and so is not among the rules of validation: Apollo keeps what those have found. */
const guard = (
  schema: GraphQLSchema,
  limits: RequestLimits,
  onForbidden: ForbiddenListener,
): ApolloServerPlugin<GraphqlContext> => ({
  requestDidStart: async () => ({
    didResolveOperation: async ({ document, operation, request: { variables }, contextValue: { caller } }) => {
      if (!operation) return; // Apollo tells
      const refusal =
        // Apollo would run one as if it were a query, and its field would find no event.
        operation.operation === 'subscription'
          ? badUserInput('Subscriptions go over a WebSocket (graphql-transport-ws) on this path.')
          : (refuseIntrospection(document, caller, onForbidden) ??
            refuseRequest({ schema, document, operation, variables }, limits));
      if (!refusal) return;
      const { message, nodes, extensions } = refusal;
      throw new GraphQLError(message, { nodes, extensions: { ...extensions, http: { status: 400 } } });
    },
    didEncounterErrors: async ({ errors, contextValue: { caller } }) => {
      if (!maySeeSchema(caller)) errors.forEach(withoutSuggestion);
    },
    willSendResponse: async ({ request, response: { http, body } }) => {
      if (http.status !== 400 || body.kind !== 'single' || !knowsOnlyJson(request.http?.headers.get('accept'))) return;
      if (body.singleResult.errors?.every(({ extensions }) => OF_THE_DOCUMENT.has(extensions?.code))) http.status = 200;
    },
  }),
});

/** What is found wrong with a request that is well-formed as far as HTTP goes. */
const OF_THE_DOCUMENT = new Set<unknown>(['GRAPHQL_PARSE_FAILED', 'GRAPHQL_VALIDATION_FAILED', 'BAD_USER_INPUT']);

/** Who asks for the older media type cannot tell our 400 from that of a proxy, and should get 200 (GraphQL over HTTP, §6.4.1). */
const knowsOnlyJson = (accept = ''): boolean =>
  accept.includes('application/json') && !accept.includes('application/graphql-response+json');

/** Apollo Server, started; HTTP is put in front of it elsewhere. Disposing of it stops it. @param onForbidden hears of introspection */
export async function startApollo(
  schema: GraphQLSchema,
  limits: RequestLimits,
  onForbidden: ForbiddenListener,
  log: { error(fields: object, message: string): void },
): Promise<ApolloServer<GraphqlContext> & AsyncDisposable> {
  const apollo = new ApolloServer<GraphqlContext>({
    schema,
    introspection: true, // the guard has a say
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false, // main.ts owns the order of the shutdown
    persistedQueries: false,
    parseOptions: { maxTokens: limits.tokens },
    validationRules: [limitDocument(limits)],
    validationOptions: VALIDATION_OPTIONS,
    logger: apolloLog(log),
    formatError: formatError(log),
    plugins: [
      guard(schema, limits, onForbidden),
      // On by default, and wraps every field of the schema: lists take 1.7 times as long.
      ApolloServerPluginCacheControlDisabled(),
      // Loads its page from another host.
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
    ],
  });
  await apollo.start();
  return Object.assign(apollo, { [Symbol.asyncDispose]: () => apollo.stop() });
}
