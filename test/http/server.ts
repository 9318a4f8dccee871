import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Role } from '../../src/access-settings.js';
import { type App, createApp } from '../../src/app.js';
import { loadSettings } from '../../src/config.js';
import { eventually } from '../support/eventually.js';
import { type GraphqlAnswer, postGraphql } from '../support/network.js';

/** The whole server on its embedded sandbox, for one file's tests to share. */
export interface Server extends AsyncDisposable {
  readonly app: App;
  readonly url: string;
  readonly databasePath: string;
  /** Every line that the server has logged, as JSON. */
  readonly logLines: readonly string[];
  graphql(query: string, variables?: object, headers?: Record<string, string>): Promise<GraphqlAnswer>;
}

export async function startServer(env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const directory = await mkdtemp(join(tmpdir(), 'guest-sessions-'));
  const logLines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void logLines.push(line) });
  const app = await createApp(loadSettings({ PORT: '0', DATABASE_URL: `file:${join(directory, 'test.db')}`, ...env }), {
    log,
  });
  return {
    app,
    url: app.url,
    databasePath: app.engine.databasePath,
    logLines,
    graphql: (query, variables, headers) => postGraphql(app.url, query, variables, headers),
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** One key for each role; the key of a role is its name in lower case. */
export const API_KEYS: string = JSON.stringify(
  (['GUEST', 'BACKEND', 'CRM', 'OPS'] satisfies Role[]).map((role) => ({
    name: `the ${role} key`,
    role,
    sha256: createHash('sha256').update(role.toLowerCase()).digest('hex'),
  })),
);

export const bearer = (role: Role) => ({ authorization: `Bearer ${role.toLowerCase()}` });

/** A TCP connection that tells all it is told: for requests that no HTTP client would send. */
export class RawConnection {
  received = '';
  isClosed = false;

  private constructor(readonly socket: Socket) {
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      this.received += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** @param allowHalfOpen whether it keeps its side open when the server closes the other */
  static async open(url: string, { allowHalfOpen = false } = {}): Promise<RawConnection> {
    const { hostname, port } = new URL(url);
    const socket = connect({ port: Number(port), host: hostname, allowHalfOpen });
    await once(socket, 'connect');
    return new RawConnection(socket);
  }

  write(text: string): void {
    this.socket.write(text.replaceAll('\n', '\r\n'));
  }

  /** Waits for a text among all that came. */
  async hears(text: string): Promise<string> {
    return eventually(() => this.received.includes(text) && this.received);
  }

  async closes(): Promise<void> {
    await eventually(() => this.isClosed);
  }
}
