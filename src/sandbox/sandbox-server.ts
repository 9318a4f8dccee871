import { setMaxListeners } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, problem, send } from './answer.js';
import type { CallLog } from './call-log.js';
import { CONTROL_PREFIX } from './control-routes.js';
import type { SandboxCall, Scenario } from './faults.js';
import { Inbound } from './inbound.js';
import { type ListenOptions, LoopbackServer } from './loopback-server.js';
import { playFault } from './play-fault.js';
import type { Scenarios } from './scenarios.js';

/** A call that a sandbox answers. */
export interface Operation {
  call: SandboxCall;
  /** The status of a good answer. */
  successStatus: number;
  /** Whom the request is about, once its body is read. */
  guestId(request: Inbound): string | null;
  work(request: Inbound): Answer;
}

/** What one sandbox is made of. */
export interface Site {
  scenarios: Scenarios;
  log: CallLog;
  /** Null: no such route. */
  route(request: Inbound): Operation | null;
  /** What stands below `/_sandbox/`: never struck by a scenario, never counted. */
  control(request: Inbound): Answer;
}

/** Takes requests through their scenario and their work to an answer. */
export class SandboxServer implements AsyncDisposable {
  readonly #site: Site;
  readonly #disposing = new AbortController();
  #server!: LoopbackServer;

  private constructor(site: Site) {
    this.#site = site;
    // Every slow call listens to it.
    setMaxListeners(0, this.#disposing.signal);
  }

  static async start(site: Site, options: ListenOptions): Promise<SandboxServer> {
    const server = new SandboxServer(site);
    server.#server = await LoopbackServer.start((message, response) => {
      server.#handle(message, response).catch((error: unknown) => {
        // Ours to see, not the client's: a fault nobody asked for must not pass for one of the scenarios.
        if (!server.#disposing.signal.aborted) process.emitWarning(error instanceof Error ? error : String(error));
        response.destroy();
      });
    }, options);
    return server;
  }

  get origin(): string {
    return this.#server.origin;
  }

  /** Connections are refused from now on, and the open ones cut: nothing that is sent arrives. */
  async refuseConnections(): Promise<void> {
    await this.#server.close();
  }

  /** Undoes {@link refuseConnections}, on the same port. */
  async acceptConnections(): Promise<void> {
    await this.#server.listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposing.abort();
    await this.#server[Symbol.asyncDispose]();
  }

  async #handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that leaves in the middle is part of the game.
    response.on('error', () => {});
    const request = new Inbound(message);
    const operation = request.path.startsWith(CONTROL_PREFIX) ? null : this.#site.route(request);
    if (operation) return this.#answer(operation, request, response);
    const read = await request.read();
    if (read === 'gone') return;
    if (read === 'too-large') return send(response, TOO_LARGE);
    send(response, request.path.startsWith(CONTROL_PREFIX) ? this.#site.control(request) : notFound(request));
  }

  async #answer(operation: Operation, request: Inbound, response: ServerResponse): Promise<void> {
    const { call } = operation;
    const { scenarios, log } = this.#site;
    const entry = log.arrived(call, request.header('x-request-id'));
    const finish = (answer: Answer): void => {
      if (response.destroyed) return;
      entry.status = answer.status;
      send(response, answer);
    };
    const strike = (scenario: Scenario, answer: Answer | null): void => {
      if (scenario.fault.kind === 'slow' || response.destroyed) return;
      const { successStatus } = operation;
      entry.status = playFault(scenario.fault, { call, request, response, successStatus, answer });
    };

    // Where no guest has to be known the scenario is looked up first, so that an outage strikes before anything is read.
    let scenario = scenarios.dependOnGuest(call) ? undefined : scenarios.take(call, null);
    if (scenario?.fault.kind === 'outage' && scenario.when !== 'after') return strike(scenario, null);
    const read = await request.read();
    if (read === 'gone') return;
    if (read === 'too-large') return finish(TOO_LARGE);
    entry.guestId = operation.guestId(request);
    if (scenario === undefined) scenario = scenarios.take(call, entry.guestId);

    if (!scenario) return finish(operation.work(request));
    if (scenario.fault.kind === 'slow') {
      const early = scenario.when === 'before' ? null : operation.work(request);
      await delay(scenario.fault.delayMs, undefined, { signal: this.#disposing.signal });
      return finish(early ?? operation.work(request));
    }
    strike(scenario, scenario.when === 'after' ? operation.work(request) : null);
  }
}

const TOO_LARGE = problem(413, 'payload_too_large', 'A body may have 64 kB', { connection: 'close' });

function notFound(request: Inbound): Answer {
  return problem(404, 'not_found', `There is no ${request.method} ${request.path} here`);
}
