import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { v7 as uuidv7 } from 'uuid';
import { CursorExpiredError, InternalError } from '../errors.js';
import { withoutValues } from './without-values.js';

/** The caller's own fault in speaking to us: an argument that cannot be used. */
export const badUserInput = (message: string): GraphQLError =>
  new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });

/** Text to look for. The store knows none with a NUL in it, and says so by failing. @throws BAD_USER_INPUT */
export function searchable<Text extends string | null | undefined>(text: Text, name: string): Text {
  if (text?.includes('\0')) throw badUserInput(`"${name}" must not hold a NUL character.`);
  return text;
}

/** The caller has to say who it is. */
export const unauthenticated = (message: string): GraphQLError =>
  new GraphQLError(message, {
    extensions: { code: 'UNAUTHENTICATED', http: { status: 401, headers: new Map([['www-authenticate', 'Bearer']]) } },
  });

/** The caller may not do that. @param status of the whole answer, where it is not about one field alone */
export const forbidden = (message: string, status?: 403): GraphQLError =>
  new GraphQLError(message, { extensions: { code: 'FORBIDDEN', ...(status && { http: { status } }) } });

/** Nobody can tell at the moment. The same request, sent again, may be answered. */
export const unavailable = (message: string): GraphQLError =>
  new GraphQLError(message, {
    extensions: { code: 'SERVICE_UNAVAILABLE', http: { status: 503, headers: new Map([['retry-after', '1']]) } },
  });

export const isUnavailable = (error: unknown): boolean =>
  error instanceof GraphQLError && error.extensions.code === 'SERVICE_UNAVAILABLE';

/** The caller asks too often, and may come again in so many seconds. Over HTTP it is the status of the whole answer. */
export const tooManyRequests = (retryAfterSeconds: number, by: 'HTTP' | 'socket'): GraphQLError =>
  new GraphQLError(`Too many requests. Try again in ${retryAfterSeconds} s.`, {
    extensions: {
      code: 'TOO_MANY_REQUESTS',
      retryAfterSeconds,
      ...(by === 'HTTP' && { http: { status: 429, headers: new Map([['retry-after', String(retryAfterSeconds)]]) } }),
    },
  });

/** The codes that Apollo gives over HTTP. */
export const withCode = (error: GraphQLError, code: string): GraphQLError => {
  const { message, nodes, source, positions, originalError, extensions } = error;
  return new GraphQLError(message, { nodes, source, positions, originalError, extensions: { ...extensions, code } });
};

interface Log {
  error(fields: object, message: string): void;
}

/**
 * What the public sees of an error. What the caller did wrong it is told; of a bug of ours it sees a request id, under which
 * the log has the rest.
 */
export const formatError =
  (log: Log) =>
  (formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError => {
    const original = unwrapResolverError(error);
    if (original instanceof GraphQLError && NULL_ARGUMENT.test(original.message)) {
      return { ...formatted, message: withoutValues(original), extensions: { code: 'BAD_USER_INPUT' } };
    }
    if (original instanceof GraphQLError && !isFoundByGraphql(original, formatted)) {
      return { ...formatted, message: formatted.path ? formatted.message : withoutValues(original) };
    }
    if (original instanceof CursorExpiredError) {
      const { message } = original;
      return { message, ...(formatted.path && { path: formatted.path }), extensions: { code: 'CURSOR_EXPIRED' } };
    }
    const requestId = original instanceof InternalError ? original.requestId : uuidv7();
    log.error({ err: original, requestId, path: formatted.path }, 'a request failed on a bug of ours');
    return {
      message: `Something went wrong on our side. Quote the request id ${requestId} when you report it.`,
      ...(formatted.path && { path: formatted.path }),
      extensions: { code: 'INTERNAL_SERVER_ERROR', requestId },
    };
  };

/**
 * An argument that a variable makes null, which validation cannot see: one with a default may stand where no null may. What
 * is told of it has a place and a path, as if a resolver had failed.
 */
const NULL_ARGUMENT = /^Argument "\w+" (?:of (?:required|non-null) type |has invalid value )/;

/** GraphQL could not use what a resolver gave. What is wrong with a document or its variables has no path, or a code. */
const isFoundByGraphql = ({ extensions }: GraphQLError, { path }: GraphQLFormattedError): boolean =>
  (extensions.code ?? (path && 'INTERNAL_SERVER_ERROR')) === 'INTERNAL_SERVER_ERROR';
