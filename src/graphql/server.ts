import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { GraphQLError, type GraphQLSchema } from 'graphql';
import type { GraphqlContext } from './context.js';
import { formatError } from './error-format.js';
import { EXTRA_RULES } from './limit-depth.js';

/** More than any sensible document has, and little enough to be parsed in no time. */
export const MAX_TOKENS = 1_000;

/** Apollo would run one as if it were a query, and its field would find no event. */
const refuseSubscriptions: ApolloServerPlugin = {
  requestDidStart: async () => ({
    didResolveOperation: async ({ operation }) => {
      if (operation?.operation !== 'subscription') return; // none: Apollo tells
      throw new GraphQLError('Subscriptions go over a WebSocket (graphql-transport-ws) on this path.', {
        extensions: { code: 'BAD_USER_INPUT', http: { status: 400 } },
      });
    },
  }),
};

/** Apollo Server, started; HTTP is put in front of it elsewhere. */
export async function startApollo(
  schema: GraphQLSchema,
  log: { error(fields: object, message: string): void },
): Promise<ApolloServer<GraphqlContext>> {
  const apollo = new ApolloServer<GraphqlContext>({
    schema,
    introspection: true,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false, // main.ts owns the order of the shutdown
    persistedQueries: false,
    parseOptions: { maxTokens: MAX_TOKENS },
    validationRules: [...EXTRA_RULES],
    formatError: formatError(log),
    plugins: [
      refuseSubscriptions,
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
  return apollo;
}
