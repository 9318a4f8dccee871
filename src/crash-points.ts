import type { CrashPoint } from './config.js';
import type { Ports } from './guest-session/ports.js';

interface Webhook {
  post(id: string, body: string): Promise<unknown>;
}

/** Ends this process as a power cut would: nothing is flushed, nobody is told. */
const crash = (): void => void process.kill(process.pid, 'SIGKILL');

/** For tests of crash safety (CRASH_AT): the same ports, of which one is deadly. */
export function withCrashPoint(ports: Ports, at: CrashPoint | null): Ports {
  if (at === null) return ports;
  const { cxone, ledger } = ports;
  return {
    ...ports,
    ledger: overriding(ledger, {
      reserve: async (attempt, request) => {
        await ledger.reserve(attempt, request);
        if (at === 'after-reserve') crash();
      },
      close: async (attempt, outcome) => {
        if (at === 'before-close') crash();
        const closed = await ledger.close(attempt, outcome);
        if (at === 'after-close') crash();
        return closed;
      },
    }),
    cxone: overriding(cxone, {
      createSession: async (payload, deadline, steps) => {
        const onPost = () => {
          if (at === 'before-post') crash();
          steps.onPost();
        };
        const created = await cxone.createSession(payload, deadline, { ...steps, onPost });
        if (at === 'after-post') crash();
        return created;
      },
    }),
  };
}

/** The same for the webhook. */
export function withWebhookCrashPoint<T extends Webhook>(webhook: T, at: CrashPoint | null): Pick<T, 'post'> {
  if (at !== 'before-webhook' && at !== 'after-webhook') return webhook;
  const post = async (id: string, body: string) => {
    if (at === 'before-webhook') crash();
    const posted = await webhook.post(id, body);
    crash();
    return posted;
  };
  return { post: post as T['post'] };
}

/** A view of an object with some methods replaced; the rest go to the object itself. */
const overriding = <T extends object>(target: T, overrides: Partial<T>): T =>
  new Proxy(target, {
    get: (_, name) => {
      const value: unknown = Reflect.get(name in overrides ? overrides : target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
