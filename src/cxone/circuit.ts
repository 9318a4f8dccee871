import {
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhen,
  type IBackoff,
} from 'cockatiel';
import { AttemptError } from '../errors.js';
import { type Answer, NoAnswer } from './exchange.js';

/** What a refused caller is told to wait when the circuit may close at any moment. */
const LEAST_WAIT_MS = 100;

export interface CircuitSettings {
  /** Failures in a row that open the circuit. */
  readonly breakerFailures: number;
  /** How long nothing is sent before one call may probe. */
  readonly breakerOpenMs: number;
}

/**
 * The circuit breaker of one kind of call. A failure is no answer at all or a status of 500 and above; everything else shows
 * that CXone is up, however little we like what it says.
 *
 * The states are cockatiel's. Three things are ours:
 * - the open time is on the monotonic clock ({@link Circuit.#openTime});
 * - while the probe is under way the others are refused, where cockatiel would let them wait for it;
 * - a call that began before the circuit last opened is not counted: the stragglers of an outage must not open it again.
 */
export class Circuit {
  readonly #name: string;
  readonly #policy: CircuitBreakerPolicy;
  /** On the monotonic clock; also tells one opening from the next. */
  #openUntilMs = Number.NEGATIVE_INFINITY;

  /** @param onChange hears when it opens, and when it closes again */
  constructor(
    name: string,
    { breakerFailures, breakerOpenMs }: CircuitSettings,
    onChange: (name: string, isOpen: boolean) => void,
  ) {
    this.#name = name;
    this.#policy = circuitBreaker(
      handleWhen((error) => error instanceof BadEnd && error.isFailure),
      { breaker: new ConsecutiveBreaker(breakerFailures), halfOpenAfter: this.#openTime(breakerOpenMs) },
    );
    this.#policy.onBreak(() => onChange(name, true));
    this.#policy.onReset(() => onChange(name, false));
  }

  /** @throws AttemptError CXONE_UNAVAILABLE while nothing may be sent */
  throwIfOpen(): void {
    const { state } = this.#policy;
    const leftMs = this.#openUntilMs - performance.now();
    if (state === CircuitState.Closed || (state === CircuitState.Open && leftMs <= 0)) return;
    throw new AttemptError('CXONE_UNAVAILABLE', {
      retryAfterSeconds: Math.max(leftMs, LEAST_WAIT_MS) / 1000,
      detail: `the circuit breaker for "${this.#name}" is ${state === CircuitState.Open ? 'open' : 'half open'}`,
    });
  }

  /**
   * Makes a call, if the circuit lets it through, and passes on what came of it.
   * @throws AttemptError CXONE_UNAVAILABLE, without making the call
   */
  async run(call: () => Promise<Answer>): Promise<Answer> {
    this.throwIfOpen();
    const isProbe = this.#policy.state === CircuitState.Open;
    const begunUnder = this.#openUntilMs;
    // A probe that was not answered, for whatever reason, has not shown that CXone is back.
    const isFailure = (isTrouble: boolean) => isProbe || (isTrouble && this.#openUntilMs === begunUnder);
    try {
      return await this.#policy.execute(async () => {
        const answer = await call().catch((error: unknown) => {
          // An attempt with little time left must not make CXone look dead to all the others.
          throw new BadEnd(() => Promise.reject(error), isFailure(error instanceof NoAnswer && !error.wasCutShort));
        });
        if (answer.status >= 500) throw new BadEnd(async () => answer, isFailure(true));
        return answer;
      });
    } catch (error) {
      if (error instanceof BadEnd) return error.result();
      throw error;
    }
  }

  /**
   * cockatiel subtracts wall clock times and compares them with `duration`: a clock that is set back by an hour would keep
   * the circuit open for an hour. A duration without end, and then one that is always over, leaves the wall clock no say.
   */
  #openTime(openMs: number): IBackoff<unknown> {
    const isOver = () => performance.now() >= this.#openUntilMs;
    const openTime: IBackoff<unknown> = {
      get duration() {
        return isOver() ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
      },
      next: () => {
        this.#openUntilMs = performance.now() + openMs;
        return openTime;
      },
    };
    return openTime;
  }
}

/** Carries what is no success past the breaker, and tells it whether to count it. */
class BadEnd extends Error {
  override readonly name = 'BadEnd';

  constructor(
    readonly result: () => Promise<Answer>,
    readonly isFailure: boolean,
  ) {
    super('a call did not succeed');
  }
}
