import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { Fault, SandboxCall, Scenario } from './faults.js';

/** A scenario that cannot be played. The message names the field. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
}

/** Says what is wrong with a value, or nothing. */
type Check = (value: unknown) => string | null;

/** What a Node timer can hold; anything longer fires at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

const integer =
  (min: number, max: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? null
      : `must be a whole number from ${min} to ${max}`;

const oneOf =
  (...allowed: readonly unknown[]): Check =>
  (value) =>
    allowed.includes(value) ? null : `must be one of ${allowed.join(', ')}`;

const text: Check = (value) => (typeof value === 'string' ? null : 'must be a string');

const headers: Check = (value) => {
  if (!isObject(value)) return 'must be an object of strings';
  for (const [name, content] of Object.entries(value)) {
    const problem = header(name, content);
    if (problem) return problem;
  }
  return null;
};

const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined ? null : check(value);

const NO_FIELDS: Record<string, Check> = {};
const FAULT_FIELDS: Record<Fault['kind'], Record<string, Check>> = {
  'rate-limit': { retryAfter: optional((value) => header('retry-after', value)), status: optional(oneOf(429, 503)) },
  status: { status: integer(200, 599), body: optional(text), headers: optional(headers) },
  echo: { status: integer(400, 599), as: optional(oneOf('json', 'text')) },
  outage: NO_FIELDS,
  reset: NO_FIELDS,
  slow: { delayMs: integer(0, LONGEST_DELAY_MS) },
  hang: NO_FIELDS,
  drip: { everyMs: optional(integer(1, LONGEST_DELAY_MS)) },
  malformed: NO_FIELDS,
  truncated: NO_FIELDS,
  'wrong-shape': NO_FIELDS,
  oversized: NO_FIELDS,
};

/**
 * Checks what came over the control route or from a test, so that a typing mistake is not taken for "no fault".
 * @param calls what the sandbox in question answers
 * @throws ScenarioError naming the first field that is wrong
 */
export function checkScenario(input: unknown, calls: readonly SandboxCall[], at = 'scenario'): Scenario {
  const scenario = object(input, at);
  checkFields(scenario, at, {
    on: oneOf(...calls),
    fault: () => null,
    times: optional(integer(1, Number.MAX_SAFE_INTEGER)),
    when: optional(oneOf('before', 'after')),
    guestId: optional(text),
    skip: optional(integer(0, Number.MAX_SAFE_INTEGER)),
  });
  if (scenario.on === 'token' && scenario.guestId !== undefined) {
    throw new ScenarioError(`${at}.guestId: a token is fetched for no guest in particular`);
  }
  const fault = object(scenario.fault, `${at}.fault`);
  const problem = oneOf(...Object.keys(FAULT_FIELDS))(fault.kind);
  if (problem) throw new ScenarioError(`${at}.fault.kind: ${problem}`);
  checkFields(fault, `${at}.fault`, { kind: text, ...FAULT_FIELDS[fault.kind as Fault['kind']] });
  // Every field has just been checked; a copy, so that the caller's object can change afterwards.
  return structuredClone(input) as Scenario;
}

function checkFields(value: Record<string, unknown>, at: string, checks: Record<string, Check>): void {
  for (const field of Object.keys(value)) {
    if (Object.hasOwn(checks, field)) continue;
    throw new ScenarioError(`${at}.${field}: unknown; expected ${Object.keys(checks).join(', ')}`);
  }
  for (const [field, check] of Object.entries(checks)) {
    const problem = check(value[field]);
    if (problem) throw new ScenarioError(`${at}.${field}: ${problem}`);
  }
}

function object(value: unknown, at: string): Record<string, unknown> {
  if (!isObject(value)) throw new ScenarioError(`${at}: must be an object`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function header(name: string, value: unknown): string | null {
  if (typeof value !== 'string') return `must be a string (the raw value of ${name})`;
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return null;
  } catch {
    return `${name} cannot be sent as a header`;
  }
}
