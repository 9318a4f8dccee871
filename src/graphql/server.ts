import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { GraphQLSchema } from 'graphql';
import type { GraphqlContext } from './context.js';
import { formatError } from './error-format.js';

/** More than any sensible document has, and little enough to be parsed in no time. */
export const MAX_TOKENS = 1_000;

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
    formatError: formatError(log),
    plugins: [
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
