import { Axios } from 'axios';
import { Agent } from 'undici';
import { undiciAdapter } from './undici-adapter.js';

const MAX_RESPONSE_BYTES = 1_000_000;
const MAX_REQUEST_BYTES = 1_000_000;
/** Above what any of the callers has under way at once: who waits, waits in their queues, where no timeout runs. */
const MAX_CONNECTIONS_PER_ORIGIN = 1_000;
/** Below the time a call may take, so that a connection that is never made is told from an answer that never comes. */
const CONNECT_TIMEOUT_MS = 2_500;
/** Below what servers keep an idle connection for (Node: 5 s), so that no request is written into one that is closing. */
const IDLE_CONNECTION_MS = 3_000;

/** axios, set so that it cannot be abused, and the connections that it keeps. */
export interface HttpClient extends AsyncDisposable {
  readonly axios: Axios;
}

/**
 * The one HTTP client for all that leaves the server: kept connections, no redirects, no proxy, bounded bodies. Answers come
 * as text whatever their status; the caller parses them and decides what they mean.
 */
export function createHttpClient(): HttpClient {
  const agent = new Agent({
    connections: MAX_CONNECTIONS_PER_ORIGIN,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    keepAliveMaxTimeout: IDLE_CONNECTION_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });
  return {
    // Not axios.create(): the library's defaults are merged into every request, and none of them is wanted here.
    axios: new Axios({
      adapter: undiciAdapter(agent),
      // The adapter neither follows redirects nor asks a proxy; said here too, should it ever be exchanged.
      maxRedirects: 0,
      proxy: false,
      maxContentLength: MAX_RESPONSE_BYTES,
      maxBodyLength: MAX_REQUEST_BYTES,
      responseType: 'text',
      transformRequest: [(data) => data],
      transformResponse: [(data) => data],
      validateStatus: () => true,
    }),
    async [Symbol.asyncDispose]() {
      // destroy(), not close(): what is still open by now has been waited for, or hangs.
      await agent.destroy();
    },
  };
}
