import type { PipelineStage } from '../errors.js';
import { Deadline } from './deadline.js';
import type { Caller, CapacityCheck, RiskAssessment, UpstreamSession, ValidRequest } from './ports.js';
import { mintRequestId } from './request-id.js';

/** One run of the pipeline: who asked, how long it may take, and what became known on the way. */
export class Attempt {
  /** UUIDv7; also the `X-Request-Id` that CXone gets. */
  readonly requestId: string;
  readonly openedAt: Date;
  readonly deadline: Deadline;
  /** Milliseconds spent in each step so far. */
  readonly stageDurationsMs = new Map<PipelineStage, number>();

  /** The step at work, or the one that refused. */
  stage: PipelineStage = 'VALIDATE';
  /** Null until validation has passed. */
  request: ValidRequest | null = null;
  risk: RiskAssessment | null = null;
  capacityCheck: CapacityCheck | null = null;
  /** True once this attempt has claimed its idempotency key. */
  holdsKey = false;
  /** True once the PENDING row is written. */
  reserved = false;
  /** POSTs sent to CXone. */
  posts = 0;
  /** POSTs whose answer was lost: any of them may open a session yet. */
  lostAnswers = 0;
  /** The session that a lost answer was about, where it was found at CXone. */
  found: UpstreamSession | null = null;

  readonly #openedAtMs = performance.now();

  /** @param timeoutMs how long the whole attempt may take */
  constructor(
    readonly caller: Caller,
    timeoutMs: number,
  ) {
    const { id, at } = mintRequestId();
    this.requestId = id;
    this.openedAt = at;
    this.deadline = new Deadline(timeoutMs);
  }

  /** Milliseconds since the attempt was opened. */
  get elapsedMs(): number {
    return performance.now() - this.#openedAtMs;
  }

  /** Runs one step, and keeps how long it took and that it was the last. */
  async during<T>(stage: PipelineStage, step: () => T | Promise<T>): Promise<T> {
    this.stage = stage;
    const startedAtMs = performance.now();
    try {
      return await step();
    } finally {
      this.stageDurationsMs.set(stage, performance.now() - startedAtMs);
    }
  }
}
