import type { IncomingHttpHeaders } from 'node:http';
import { type Answer, problem } from './answer.js';
import { CallLog, LastItems, type RecordedCall } from './call-log.js';
import { CONTROL_PREFIX, controlRoutes } from './control-routes.js';
import type { SandboxCall } from './faults.js';
import type { Inbound } from './inbound.js';
import type { ListenOptions } from './loopback-server.js';
import { type Operation, SandboxServer } from './sandbox-server.js';
import { Scenarios } from './scenarios.js';

const CALLS = ['webhook'] as const satisfies readonly SandboxCall[];
const WEBHOOK_PATH = '/webhooks/guest-sessions';

/** A webhook that the CRM took. */
export interface ReceivedWebhook {
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** What a signature is over. */
  readonly rawBody: string;
  readonly at: Date;
}

/** A CRM's webhook receiver over real HTTP on a loopback address, with faults on demand. */
export class CrmSandbox implements AsyncDisposable {
  /** Faults; also switchable at `/_sandbox/scenarios`. */
  readonly scenarios = new Scenarios(CALLS);
  readonly #log = new CallLog();
  readonly #received = new LastItems<ReceivedWebhook>();
  #server!: SandboxServer;

  private constructor() {}

  /** Resolves when it listens. @throws RangeError when `host` is not a loopback address */
  static async start(options: ListenOptions = {}): Promise<CrmSandbox> {
    const sandbox = new CrmSandbox();
    const { scenarios } = sandbox;
    const state = () => ({ received: sandbox.received.length });
    const webhook: Operation = {
      call: 'webhook',
      successStatus: 200,
      guestId: guestOf,
      work: (request) => sandbox.#take(request),
    };
    const site = {
      scenarios,
      log: sandbox.#log,
      route: ({ method, path }: Inbound) => (method === 'POST' && path === WEBHOOK_PATH ? webhook : null),
      control: controlRoutes(
        { scenarios, log: sandbox.#log, calls: CALLS, state },
        { 'GET received': () => ({ status: 200, body: sandbox.received }) },
      ),
    };
    sandbox.#server = await SandboxServer.start(site, options);
    return sandbox;
  }

  /** Where webhooks are posted: `http://127.0.0.1:PORT/webhooks/guest-sessions` */
  get url(): string {
    return `${this.#server.origin}${WEBHOOK_PATH}`;
  }

  /** Where it is steered over HTTP: `state`, `scenarios` and `received` stand below it. */
  get controlUrl(): string {
    return `${this.#server.origin}${CONTROL_PREFIX}`;
  }

  /** The last 10,000 that were taken, oldest first, repetitions included; a copy. */
  get received(): readonly ReceivedWebhook[] {
    return this.#received.list();
  }

  /** The last 10,000 calls, also those that failed; a copy, whose entries still fill in while their call is under way. */
  get calls(): readonly RecordedCall[] {
    return this.#log.list();
  }

  /** How many calls arrived since the start or the last {@link reset}, whatever became of them. */
  count(call: SandboxCall): number {
    return this.#log.count(call);
  }

  /** Forgets scenarios, calls and what was received. */
  reset(): void {
    this.scenarios.clear();
    this.#log.clear();
    this.#received.clear();
  }

  /** From now on connections are refused, so that nothing sent arrives; open ones are cut. */
  async refuseConnections(): Promise<void> {
    await this.#server.refuseConnections();
  }

  /** Undoes {@link refuseConnections}, on the same port. */
  async acceptConnections(): Promise<void> {
    await this.#server.acceptConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }

  #take(request: Inbound): Answer {
    if (request.json === undefined) return problem(400, 'invalid_webhook', 'The body must be JSON');
    this.#received.push({
      headers: request.message.headers,
      body: request.json,
      rawBody: request.body,
      at: new Date(),
    });
    return { status: 200, body: { received: true } };
  }
}

function guestOf(request: Inbound): string | null {
  const guestId = request.jsonAt('payload', 'guestId');
  return typeof guestId === 'string' ? guestId : null;
}
