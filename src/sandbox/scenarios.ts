import { checkScenario } from './check-scenario.js';
import type { SandboxCall, Scenario } from './faults.js';

/** The scenarios in force on one sandbox. For each call the first that applies, in the order they were added, strikes. */
export class Scenarios {
  readonly #calls: readonly SandboxCall[];
  #active: Scenario[] = [];

  /** @param calls what this sandbox answers; a scenario on anything else is refused */
  constructor(calls: readonly SandboxCall[]) {
    this.#calls = calls;
  }

  /** @throws ScenarioError naming the field that is wrong */
  add(scenario: Scenario): void {
    this.#active.push(checkScenario(scenario, this.#calls));
  }

  /** All or none. @throws ScenarioError naming the field that is wrong */
  addUnchecked(input: unknown): void {
    const scenarios = Array.isArray(input)
      ? input.map((entry, index) => checkScenario(entry, this.#calls, `scenarios[${index}]`))
      : [checkScenario(input, this.#calls)];
    this.#active.push(...scenarios);
  }

  clear(): void {
    this.#active = [];
  }

  /** As they stand now: `times` and `skip` count down, and what is used up is gone. */
  list(): readonly Scenario[] {
    return structuredClone(this.#active);
  }

  /** Whether the guest has to be known before {@link take} can tell. */
  dependOnGuest(call: SandboxCall): boolean {
    return this.#active.some((scenario) => scenario.on === call && scenario.guestId !== undefined);
  }

  /** The scenario that strikes this call, which uses up one of its `times`. Ask once per call. */
  take(call: SandboxCall, guestId: string | null): Scenario | null {
    let struck: Scenario | null = null;
    // Goes on after the first hit: `skip` counts calls, also those that another scenario struck.
    for (const scenario of this.#active) {
      if (scenario.on !== call) continue;
      if (scenario.guestId !== undefined && scenario.guestId !== guestId) continue;
      if (scenario.skip) scenario.skip -= 1;
      else struck ??= scenario;
    }
    if (struck?.times !== undefined) {
      struck.times -= 1;
      if (struck.times === 0) this.#active = this.#active.filter((scenario) => scenario !== struck);
    }
    return struck;
  }
}
