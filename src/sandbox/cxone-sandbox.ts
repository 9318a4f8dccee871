import { CallLog, type RecordedCall } from './call-log.js';
import { CONTROL_PREFIX, controlRoutes } from './control-routes.js';
import { cxoneControls, withoutToken } from './cxone-controls.js';
import { cxoneRoutes } from './cxone-routes.js';
import type { SandboxCall } from './faults.js';
import type { ListenOptions } from './loopback-server.js';
import { SandboxServer } from './sandbox-server.js';
import { Scenarios } from './scenarios.js';
import { type SandboxSession, type SandboxSessionRecord, SessionBook } from './session-book.js';
import { TokenEndpoint } from './token-endpoint.js';

const CALLS = ['token', 'list', 'create', 'end'] as const satisfies readonly SandboxCall[];
const ADDED_CHANNEL = 'webchat';

export interface CxoneSandboxOptions extends ListenOptions {
  /** Default `sandbox-client`. */
  clientId?: string;
  /** Default `sandbox-secret`. */
  clientSecret?: string;
  /** Default 3600. */
  tokenTtlSeconds?: number;
  /** Default 3600. */
  sessionTtlSeconds?: number;
  /** Whether the list shows `routing.attributes.requestId`; default true. */
  echoAttributes?: boolean;
  /** Whether the list repeats the guest's credential as `token`; default false. */
  echoToken?: boolean;
  /** Whether sessions can be listed; default true. Else the list is answered 403. */
  canList?: boolean;
  /** Whether the API can end sessions; default true. Else DELETE is answered 405 and ends nothing. */
  canEndSessions?: boolean;
  /** What the token answer grants; null leaves `scope` out. Default `messaging:write messaging:read`. */
  scope?: string | null;
  /** Stands in every bearer and in every guest's token, so that a search can find them all; default none. */
  credentialMark?: string;
}

/** CXone over real HTTP on a loopback address, with faults on demand. */
export class CxoneSandbox implements AsyncDisposable {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Faults; also switchable at `/_sandbox/scenarios`. */
  readonly scenarios = new Scenarios(CALLS);
  readonly #log = new CallLog();
  readonly #book: SessionBook;
  readonly #tokens: TokenEndpoint;
  readonly #sessionTtlSeconds: number;
  #server!: SandboxServer;

  private constructor(options: CxoneSandboxOptions) {
    this.clientId = options.clientId ?? 'sandbox-client';
    this.clientSecret = options.clientSecret ?? 'sandbox-secret';
    this.#sessionTtlSeconds = options.sessionTtlSeconds ?? 3600;
    const credentialMark = options.credentialMark ?? '';
    this.#book = new SessionBook(credentialMark);
    this.#tokens = new TokenEndpoint({
      clientId: this.clientId,
      clientSecret: this.clientSecret,
      ttlSeconds: options.tokenTtlSeconds ?? 3600,
      scope: options.scope === undefined ? 'messaging:write messaging:read' : options.scope,
      credentialMark,
    });
  }

  /** Resolves when it listens. @throws RangeError when `host` is not a loopback address */
  static async start(options: CxoneSandboxOptions = {}): Promise<CxoneSandbox> {
    const sandbox = new CxoneSandbox(options);
    const state = () => ({ sessions: sandbox.sessions().map(withoutToken) });
    const site = {
      scenarios: sandbox.scenarios,
      log: sandbox.#log,
      route: cxoneRoutes({
        tokens: sandbox.#tokens,
        book: sandbox.#book,
        sessionTtlSeconds: sandbox.#sessionTtlSeconds,
        echoAttributes: options.echoAttributes ?? true,
        echoToken: options.echoToken ?? false,
        canList: options.canList ?? true,
        canEndSessions: options.canEndSessions ?? true,
      }),
      control: controlRoutes(
        { scenarios: sandbox.scenarios, log: sandbox.#log, calls: CALLS, state },
        cxoneControls(sandbox),
      ),
    };
    sandbox.#server = await SandboxServer.start(site, options);
    return sandbox;
  }

  /** `http://127.0.0.1:PORT` */
  get url(): string {
    return this.#server.origin;
  }

  /** Where it is steered over HTTP: `state`, `scenarios`, `sessions`, `history` and `revoke-tokens` stand below it. */
  get controlUrl(): string {
    return `${this.url}${CONTROL_PREFIX}`;
  }

  /** The last 10,000, oldest first; a copy, whose entries still fill in while their call is under way. */
  get calls(): readonly RecordedCall[] {
    return this.#log.list();
  }

  /** How many calls of a kind arrived since the start or the last {@link reset}, whatever became of them. */
  count(call: SandboxCall): number {
    return this.#log.count(call);
  }

  /** Live sessions (neither ended nor expired), in the order of opening. */
  sessions(guestId?: string): SandboxSession[] {
    return this.#book.live(guestId);
  }

  /**
   * Sessions live and over, in the order of opening; a copy. One that nobody ended lives until its `expiresAt`.
   * What has been over for an hour is forgotten.
   */
  history(guestId?: string): SandboxSessionRecord[] {
    return this.#book.all(guestId);
  }

  /** Opens a session that the server under test knows nothing of. */
  addSession(guestId: string, ttlSeconds: number = this.#sessionTtlSeconds): SandboxSession {
    return this.#book.open({ guestId, channel: ADDED_CHANNEL, requestId: null, ttlSeconds });
  }

  /** Ends a session as an agent at CXone would, also where the API cannot. @returns whether it was live until now */
  endSession(sessionId: string): boolean {
    return this.#book.end(sessionId) === 'ended';
  }

  /** From now on every bearer issued so far is answered 401. */
  revokeTokens(): void {
    this.#tokens.revokeAll();
  }

  /** Forgets scenarios and recorded calls; sessions and tokens live on. */
  reset(): void {
    this.scenarios.clear();
    this.#log.clear();
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
}
