import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';

/**
 * How many requests of one connection may wait for their answers. Clients and proxies send one after the other's answer; RFC 9112
 * §9.3.2 allows more, which hardly anybody has ever used.
 */
const MOST_WAITING = 10;

/**
 * Cuts off connections that do not wait for their answers. Thousands of requests fit into what is read of a connection at once,
 * and would all be begun before anybody else gets a turn. One after the other, a connection may bring as many as it likes.
 */
export function cutPipelines(handle: RequestListener): RequestListener {
  const waiting = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    // What was read with the one that was too many comes all the same.
    if (socket.destroyed) return;
    const count = (waiting.get(socket) ?? 0) + 1;
    waiting.set(socket, count);
    if (count > MOST_WAITING) return void socket.destroy();
    // What is read at once may also be answered at once, one after the other, before anybody else gets a turn.
    response.once('close', () => setImmediate(() => waiting.set(socket, (waiting.get(socket) ?? 1) - 1)));
    handle(request, response);
  };
}
