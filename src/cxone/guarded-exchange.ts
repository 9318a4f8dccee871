import type { Deadline } from '../guest-session/deadline.js';
import { Bulkhead } from './bulkhead.js';
import { Circuit, type CircuitSettings } from './circuit.js';
import type { Answer, CxoneExchange, Exchange } from './exchange.js';

/** What we ask of CXone. */
export type CxoneCall = 'token' | 'list' | 'create' | 'end';

export interface GuardSettings extends CircuitSettings {
  /** Calls to CXone that are under way at once. */
  readonly maxConcurrency: number;
}

/**
 * Exchanges with CXone that spare it, and us, while it is in trouble: one bulkhead for all, and a circuit breaker for each kind
 * of call, so that a healthy list does not hide a dead POST.
 */
export class GuardedExchange {
  readonly #exchange: CxoneExchange;
  readonly #bulkhead: Bulkhead;
  readonly #circuits: Readonly<Record<CxoneCall, Circuit>>;

  /** @param onCircuitChange hears when the circuit breaker of a call opens, and when it closes again */
  constructor(
    exchange: CxoneExchange,
    settings: GuardSettings,
    onCircuitChange: (call: string, isOpen: boolean) => void = () => undefined,
  ) {
    this.#exchange = exchange;
    this.#bulkhead = new Bulkhead(settings.maxConcurrency);
    this.#circuits = {
      token: new Circuit('token', settings, onCircuitChange),
      list: new Circuit('list', settings, onCircuitChange),
      create: new Circuit('create', settings, onCircuitChange),
      end: new Circuit('end', settings, onCircuitChange),
    };
  }

  /**
   * @param onSend hears of the exchange just before it is sent, and nothing of one that is refused
   * @throws NoAnswer when none came in time or the connection failed
   * @throws AttemptError CXONE_UNAVAILABLE when it is refused here, DEADLINE_EXCEEDED; in both cases nothing was sent
   */
  async send(call: CxoneCall, exchange: Exchange, deadline: Deadline, onSend?: () => void): Promise<Answer> {
    const circuit = this.#circuits[call];
    // Asked twice: nobody queues up only to be refused, and nobody who has queued gets through when it has opened meanwhile.
    circuit.throwIfOpen();
    return this.#bulkhead.run(deadline, () => circuit.run(() => this.#exchange.send(exchange, deadline, onSend)));
  }
}
