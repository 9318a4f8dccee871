import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { request as send } from 'undici';
import { WebSocket } from 'ws';
import { jsonOf } from './envelope.mjs';
import { authorizationOf } from './server-under-test.mjs';

const ANSWERED_WITHIN_MS = 20_000;
/** A subscription that began is given so long to write what it has. */
const EVENTS_MS = 60;

/** @typedef {import('./hostile-requests.mjs').HostileRequest} HostileRequest */
/** @typedef {{ status: number | string, text: string }} Answer of HTTP its status; of a socket the type of the message, or the code of its close */

/** Sends requests one by one, over HTTP and over sockets, one for each role. */
export class RequestSender {
  #url;
  /** @type {Map<string, WebSocket>} */
  #sockets = new Map();
  #nonce = 0;

  /** @param {URL} url */
  constructor(url) {
    this.#url = url;
  }

  /** @param {HostileRequest} request @returns {Promise<Answer>} */
  send(request) {
    this.#nonce += 1;
    const json = jsonOf(request, this.#nonce);
    return request.via === 'http' ? this.#overHttp(request, json) : this.#overSocket(request, json);
  }

  async #overHttp({ role, headers = {} }, body) {
    const { statusCode, body: answer } = await send(new URL('/graphql', this.#url), {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', authorization: authorizationOf(role) },
      body,
      headersTimeout: ANSWERED_WITHIN_MS,
    });
    return { status: statusCode, text: await answer.text() };
  }

  async #overSocket({ role }, json) {
    const socket = await this.#socketOf(role);
    const id = String(this.#nonce);
    const heard = new Promise((resolve) => {
      socket.on('message', (data) => {
        const text = String(data);
        const message = JSON.parse(text);
        if (message.id === id) resolve({ status: message.type, text });
      });
      socket.once('close', (code) => resolve({ status: `closed ${code}`, text: '' }));
    });
    if (socket.readyState === WebSocket.OPEN) socket.send(`{"id":"${id}","type":"subscribe","payload":${json}}`);
    const silence = new AbortController();
    const quiet = sleep(EVENTS_MS, { status: 'silence', text: '' }, { signal: silence.signal }).catch(() => heard);
    const answer = await Promise.race([heard, quiet]);
    silence.abort();
    if (answer.status === 'next') await sleep(EVENTS_MS);
    socket.removeAllListeners('message');
    socket.removeAllListeners('close');
    if (answer.status !== 'error' && socket.readyState === WebSocket.OPEN)
      socket.send(`{"id":"${id}","type":"complete"}`);
    return answer;
  }

  async #socketOf(role) {
    const known = this.#sockets.get(role);
    if (known?.readyState === WebSocket.OPEN) return known;
    const socket = new WebSocket(`ws://${this.#url.host}/graphql`, 'graphql-transport-ws');
    socket.on('error', () => undefined);
    this.#sockets.set(role, socket);
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: authorizationOf(role) } }));
    await Promise.race([once(socket, 'message'), once(socket, 'close')]);
    return socket;
  }

  close() {
    for (const socket of this.#sockets.values()) socket.terminate();
  }
}
