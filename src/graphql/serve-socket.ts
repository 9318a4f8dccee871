import { CloseCode, type Message, MessageType, type Server as ProtocolServer, parseMessage } from 'graphql-ws';
import { WebSocket } from 'ws';
import type { MessageRate } from './message-rate.js';
import { OperationIds } from './operation-ids.js';
import type { ConnectionParams, SocketExtra } from './subscription-protocol.js';
import { TOO_MANY } from './subscription-socket.js';

/** The answer to a ping repeats what it carries, which is little. */
const MAX_ECHO_CHARS = 1_000;
/** Of the id of a subscription, which every event repeats. */
const MAX_ID_CHARS = 255;

interface ServedSocket extends Pick<SocketExtra, 'socket' | 'arrival'> {
  readonly rate: MessageRate;
  /** Called when it closes before anybody was let in. */
  onStranger(): void;
}

/**
 * Ties one socket to the protocol. (`graphql-ws/use/ws` does the same, but writes what clients break to the console, and tells
 * clients what we break.) Whatever a client sends, it is closed with the code of what it has done, and is no bug of ours.
 */
export function serveSocket(
  webSocket: WebSocket,
  { socket, arrival, rate, onStranger }: ServedSocket,
  protocol: ProtocolServer<SocketExtra>,
  log: { error(fields: object, message: string): void },
): void {
  const close = (code: number, reason: string) => webSocket.close(code, reason);
  const onBug = (error: unknown) => log.error({ err: error }, 'a socket failed on a bug of ours');
  const operations = new OperationIds();
  const extra: SocketExtra = { socket, arrival, operations, close };

  /** Also of a client that is being sent away, and writes on. */
  const count = (): void => {
    if (rate.take(extra.caller !== undefined)) return;
    close(TOO_MANY, 'Too many messages');
    // To read them is what they cost.
    webSocket.pause();
  };

  const take = async (text: string, handle: (message: Message) => Promise<void>): Promise<void> => {
    const message = readMessage(text);
    switch (message?.type) {
      case MessageType.ConnectionInit:
        return handle({ type: message.type, payload: connectionParamsOf(message.payload) });
      case MessageType.Pong:
        return handle(message);
      case MessageType.Ping: {
        // What is nested deep can be read, but not be written.
        const payload = text.length <= MAX_ECHO_CHARS ? message.payload : undefined;
        return socket.send(JSON.stringify({ type: MessageType.Pong, payload }));
      }
      case MessageType.Subscribe: {
        if (message.id.length > MAX_ID_CHARS) return close(CloseCode.BadRequest, 'Invalid message received');
        const isNew = await operations.run(message.id, text.length, (id) => handle({ ...message, id }));
        // Without the id, which may be longer than a reason can be.
        if (!isNew) close(CloseCode.SubscriberAlreadyExists, 'Subscriber already exists');
        return;
      }
      case MessageType.Complete: {
        const id = operations.end(message.id);
        if (id !== undefined) await handle({ ...message, id });
        return;
      }
      default:
        close(CloseCode.BadRequest, 'Invalid message received');
    }
  };

  const closed = protocol.opened(
    {
      protocol: webSocket.protocol,
      send: async (message) => {
        const translated = operations.translate(message);
        if (translated !== null) await socket.send(translated);
      },
      close,
      onMessage: (handle) => {
        webSocket.on('message', (data) => {
          count();
          if (webSocket.readyState !== WebSocket.OPEN) return; // it is being sent away
          // It takes what is parsed as well, though its type does not say so.
          take(String(data), (message) => handle(message as unknown as string)).catch((error: unknown) => {
            onBug(error);
            close(CloseCode.InternalServerError, 'Internal server error');
          });
        });
      },
    },
    extra,
  );
  webSocket.on('ping', count);
  socket.onUnaskedPong = count;
  webSocket.on('error', () => undefined); // of the client's making; it is being closed
  webSocket.once('close', (code, reason) => {
    extra.release?.();
    if (!extra.caller) onStranger();
    closed(code, String(reason)).catch(onBug);
  });
}

/** What we read of what a client says of itself: graphql-ws keeps it for as long as the socket lives. */
function connectionParamsOf(payload: Readonly<Record<string, unknown>> | undefined): ConnectionParams {
  const authorization = payload?.authorization ?? payload?.Authorization;
  return typeof authorization === 'string' ? { authorization } : {};
}

/** Undefined for what is no message of the protocol. */
function readMessage(text: string): Message | undefined {
  try {
    return parseMessage(text);
  } catch {
    return undefined;
  }
}
