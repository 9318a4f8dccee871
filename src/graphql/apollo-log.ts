/** What Apollo Server and its parts say by themselves, outside any answer. */
interface ApolloLogger {
  debug(message?: unknown): void;
  info(message?: unknown): void;
  warn(message?: unknown): void;
  error(message?: unknown): void;
}

/** Enough to find a bug by; what goes on is a value that is repeated. */
const MOST_CHARACTERS = 200;

/**
 * Apollo's own words, in our log and not on the console. Only the first line, and no text that is quoted in it: an error of
 * graphql-js has the lines of the document behind it, and those hold what a caller has written into them.
 */
export function apolloLog(log: { error(fields: object, message: string): void }): ApolloLogger {
  const tell = (message: unknown) => log.error({ reason: withoutText(String(message)) }, 'Apollo Server reports');
  return { debug: () => undefined, info: () => undefined, warn: tell, error: tell };
}

/** Names of types and arguments are quoted in the same way, and lost with the values. */
const withoutText = (message: string): string => {
  const [line = ''] = message.slice(0, MOST_CHARACTERS).split('\n', 1);
  return line.replace(/["{[].*/, '…');
};
