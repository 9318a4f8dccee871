import { type Answer, problem } from './answer.js';
import type { CallLog } from './call-log.js';
import { ScenarioError } from './check-scenario.js';
import type { SandboxCall } from './faults.js';
import type { Inbound } from './inbound.js';
import type { Scenarios } from './scenarios.js';

/** Everything below it steers the sandbox. */
export const CONTROL_PREFIX = '/_sandbox/';

/** A control route of one sandbox alone, by `METHOD name`, or by `METHOD name/{id}` where the path ends in any id. */
export type ControlRoutes = Record<string, (request: Inbound) => Answer>;

/** What the control routes of both sandboxes steer and show. */
export interface Controlled {
  scenarios: Scenarios;
  log: CallLog;
  calls: readonly SandboxCall[];
  /** What `GET state` tells besides counts and scenarios. */
  state(): Record<string, unknown>;
}

/** Joins the routes that every sandbox has with those of its own. */
export function controlRoutes(controlled: Controlled, own: ControlRoutes): (request: Inbound) => Answer {
  const { scenarios, log, calls } = controlled;
  const routes: ControlRoutes = {
    'GET state': () => ({
      status: 200,
      body: {
        ...controlled.state(),
        counts: Object.fromEntries(calls.map((call) => [call, log.count(call)])),
        scenarios: scenarios.list(),
      },
    }),
    'POST scenarios': (request) => {
      if (request.json === undefined) return problem(400, 'invalid_scenario', 'scenario: the body must be JSON');
      try {
        scenarios.addUnchecked(request.json);
      } catch (error) {
        if (error instanceof ScenarioError) return problem(400, 'invalid_scenario', error.message);
        throw error;
      }
      return { status: 201, body: { scenarios: scenarios.list() } };
    },
    'DELETE scenarios': () => {
      scenarios.clear();
      return { status: 204 };
    },
    ...own,
  };
  const named = (name: string) => (Object.hasOwn(routes, name) ? routes[name] : undefined);
  return (request) => {
    const name = `${request.method} ${request.path.slice(CONTROL_PREFIX.length)}`;
    const route = named(name) ?? named(name.replace(/\/.*/, '/{id}'));
    return route?.(request) ?? problem(404, 'not_found', `Control routes: ${Object.keys(routes).join(', ')}`);
  };
}
