import { createSourceEventStream, type ExecutionResult, GraphQLError, type GraphQLSchema } from 'graphql';
import { CloseCode, makeServer, type Server as ProtocolServer } from 'graphql-ws';
import type { Arrival } from '../access/gate.js';
import type { Follower } from '../lifecycle/session-event-stream.js';
import type { SocketLimits } from '../transport-settings.js';
import type { Authenticate } from './authenticate.js';
import { createContext, type KnownCaller, type Services } from './context.js';
import { isUnavailable, tooManyRequests, withCode } from './error-format.js';
import type { FanOut } from './fan-out.js';
import { maySubscribe } from './field-roles.js';
import type { OperationIds } from './operation-ids.js';
import { ProgressMarks } from './progress-marks.js';
import { maySeeSchema } from './refuse-request.js';
import { eventCursor } from './relay.js';
import type { RequestLimits } from './request-limits.js';
import type { ForbiddenListener } from './schema.js';
import { shareKey } from './share-key.js';
import type { FormatError } from './shared-execution.js';
import { SubscriptionDocuments } from './subscription-document.js';
import { type SubscriptionSocket, TOO_MANY } from './subscription-socket.js';

/** "Try again later" of RFC 6455's registry: clients of graphql-ws do; 4500 they take for the end. */
const TRY_AGAIN_LATER = 1013;
/**
 * How long the messages of a socket's subscriptions may be, for each that it may have. What they hold is kept, and takes up to
 * twenty-five times as many bytes: each field of a document is several objects.
 */
const CHARS_PER_SUBSCRIPTION = 1_600;
/** The least for a socket, which may have a few long ones instead of many. */
const MIN_CHARS_PER_SOCKET = 32_000;

export interface ProtocolOptions {
  readonly schema: GraphQLSchema;
  readonly limits: RequestLimits;
  /** Of one socket. Each subscription costs a follower and a pump. */
  readonly socketLimits: Pick<SocketLimits, 'subscriptions' | 'initTimeoutMs'>;
  readonly services: Services;
  readonly fanOut: FanOut;
  /** What the public sees of an error. */
  readonly format: FormatError;
  /** Who a socket belongs to, by the `Authorization` of its `connection_init`; rejects for nobody, and for who asks too often. */
  readonly authenticate: Authenticate;
  /** Hears of who asks for what its role may not see. */
  readonly onForbidden: ForbiddenListener;
  /** Counts a subscription. @returns in how many seconds to ask again, where that is too often */
  countRequest(caller: KnownCaller, client: string | null): Promise<number | null>;
  /** Calls `revoke` when the caller may not stay any longer; gives what to call when it goes by itself. */
  hold(caller: object, revoke: () => void): () => void;
}

/** What a client says of itself. */
export interface ConnectionParams extends Record<string, unknown> {
  readonly authorization?: string;
}

/** What there is to a socket beside the protocol. */
export interface SocketExtra {
  readonly socket: SubscriptionSocket;
  readonly arrival: Arrival;
  readonly operations: OperationIds;
  /** Sends the client away. */
  close(code: number, reason: string): void;
  caller?: KnownCaller;
  /** To be called when it is closed. */
  release?: () => void;
  marks?: ProgressMarks;
}

/** What is wrong with a subscription that does not even begin. */
class RefusedSubscription extends Error {
  constructor(readonly errors: readonly GraphQLError[]) {
    super('the subscription was refused');
  }
}

/**
 * graphql-ws speaks the protocol; the events themselves go past it, from the fan-out straight to the sockets. Apollo's guards
 * do not cover sockets, so documents are parsed, validated, authorised and their errors formatted here, by the same functions.
 * Sockets are for subscriptions: all else goes over HTTP.
 */
export function makeProtocol({
  schema,
  limits,
  socketLimits,
  services,
  fanOut,
  format,
  authenticate,
  onForbidden,
  countRequest,
  hold,
}: ProtocolOptions): ProtocolServer<SocketExtra> {
  const documents = new SubscriptionDocuments(schema, limits, onForbidden);
  const mostChars = Math.max(socketLimits.subscriptions * CHARS_PER_SUBSCRIPTION, MIN_CHARS_PER_SOCKET);
  return makeServer<ConnectionParams, SocketExtra>({
    schema,
    connectionInitWaitTimeout: socketLimits.initTimeoutMs,
    onConnect: async (context) => {
      const { connectionParams, extra } = context;
      const forbid = () => extra.close(CloseCode.Forbidden, 'Forbidden');
      let caller: KnownCaller;
      try {
        caller = await authenticate(connectionParams?.authorization, extra.arrival);
      } catch (error) {
        if (!(error instanceof GraphQLError)) throw error; // a bug of ours says nothing of the key
        if (isUnavailable(error)) extra.close(TRY_AGAIN_LATER, 'Try again later');
        else if (isTooMany(error)) extra.close(TOO_MANY, error.message);
        else forbid();
        return false;
      }
      if (!maySubscribe(schema, caller.role)) {
        // It would take a place for nothing.
        onForbidden(caller, 'subscriptions');
        forbid();
        return false;
      }
      // It may have gone meanwhile, and then nobody would call what releases it.
      if (!extra.socket.isOpen) return false;
      extra.caller = caller;
      extra.release = hold(caller, forbid);
      const marks = new ProgressMarks(extra.socket, () => Object.keys(context.subscriptions).length);
      extra.marks = marks;
      extra.socket.onKeepAlive = () => marks.tell();
      // Who subscribes from now can go on from here, should the connection break before the first event.
      return { eventCursor: eventCursor.of({ sequence: services.stream.head }) };
    },
    onPong: ({ extra }) => extra.marks?.onPong(),
    onSubscribe: async ({ extra, subscriptions }, _id, payload) => {
      const caller = callerOf(extra);
      // It is one of them already. Counted before anything is waited for, in which others would come.
      const most = socketLimits.subscriptions;
      // Who changes all its subscriptions at once may do so, and no more than that.
      const isOneTooMany = Object.keys(subscriptions).length > most || extra.operations.running > 2 * most;
      const isTooLong = extra.operations.chars > mostChars;
      const waitSeconds = await countRequest(caller, extra.arrival.client);
      if (waitSeconds !== null) return [tooManyRequests(waitSeconds, 'socket')];
      if (isOneTooMany) return [tooManySubscriptions(most)];
      const document = documents.read(payload, caller);
      if (!('kind' in document)) return document;
      if (isTooLong) return [tooLongSubscriptions(mostChars)];
      const { operationName, variables: variableValues } = payload;
      return {
        schema,
        document,
        operationName,
        variableValues,
        contextValue: createContext(caller, services),
        hideSuggestions: !maySeeSchema(caller),
      };
    },
    // Not yet results but events; the next hook turns them into what graphql-ws expects.
    subscribe: (args) => createSourceEventStream(args) as Promise<AsyncIterable<ExecutionResult> | ExecutionResult>,
    onOperation: ({ extra }, id, payload, args, source) => {
      if ('errors' in source) return failing(new RefusedSubscription((source.errors ?? []).map(asOverHttp)));
      if (!isFollower(source)) throw new Error('a subscription that does not follow the log');
      const clientId = extra.operations.theirs(id);
      if (clientId === undefined) return source.end(); // the client has ended it before it began
      const { role } = callerOf(extra);
      const key = shareKey(args.document, { ...payload, role });
      return fanOut.join({ id: clientId, shareKey: key, args, follower: source, socket: extra.socket });
    },
    onError: (_context, _id, _payload, errors) =>
      errors.flatMap(causesOf).map((error) => format(error instanceof GraphQLError ? error.toJSON() : error, error)),
  });
}

function callerOf({ caller }: SocketExtra): KnownCaller {
  if (!caller) throw new Error('a socket subscribed before it was let in');
  return caller;
}

const isTooMany = (error: unknown): error is GraphQLError =>
  error instanceof GraphQLError && error.extensions.code === 'TOO_MANY_REQUESTS';

const tooManySubscriptions = (most: number): GraphQLError =>
  outOfPlace(`A socket may have ${most} subscriptions. End some, or open another socket.`);

const tooLongSubscriptions = (mostChars: number): GraphQLError =>
  outOfPlace(
    `The subscriptions of a socket may have ${mostChars} characters in all. Ask for less, end some, or open another socket.`,
  );

const outOfPlace = (message: string): GraphQLError =>
  new GraphQLError(message, {
    extensions: { code: 'TOO_MANY_SUBSCRIPTIONS', limit: 'MAX_SUBSCRIPTIONS_PER_SOCKET' },
  });

/** What is wrong with the variables has neither a code nor the path of a field. */
const asOverHttp = (error: GraphQLError): GraphQLError =>
  error.path || error.extensions.code ? error : withCode(error, 'BAD_USER_INPUT');

/** Every subscription of the schema is a follower of the log. */
const isFollower = (source: object): source is Follower => 'read' in source && 'listen' in source;

/** A result that fails: graphql-ws answers with `error`, by `onError`, and not with a `next` that nothing follows. */
const failing = (error: Error): AsyncIterable<never> => ({
  [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }),
});

/** graphql-ws wraps what ends a subscription, and would tell its message. */
function causesOf(error: GraphQLError | { readonly message: string }): readonly (GraphQLError | Error)[] {
  const cause = error instanceof GraphQLError && !error.path ? error.originalError : undefined;
  if (cause instanceof RefusedSubscription) return cause.errors;
  return [cause ?? (error as GraphQLError)];
}
