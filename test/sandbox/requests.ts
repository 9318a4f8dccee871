import { randomUUID } from 'node:crypto';
import type { CxoneSandbox } from '../../src/sandbox/cxone-sandbox.js';

export const GUEST = '0b9d1a52-4c0e-4d6e-9a53-0d8d7f3a1c11';
export const OTHER_GUEST = 'guest-5f2b8f06-93a5-4a3f-8f0c-2f6b3a6d9e22';

/** A payload that CXone takes. */
export function sessionPayload(guestId = GUEST, requestId: string = randomUUID()) {
  return {
    guestId,
    channel: 'webchat',
    routing: {
      queueId: 'queue-1',
      priority: 'normal',
      attributes: {
        sourceChannel: 'automated_gateway',
        crmAccountId: 'crm-1' as string | null,
        deviceFingerprint: 'fp-1',
        timestamp: new Date().toISOString(),
        requestId,
      },
    },
    metadata: { sessionType: 'guest_initiated', complianceFlag: 'recorded', languagePreference: 'en-US' },
  };
}

export function postToken(sandbox: CxoneSandbox, form: Record<string, string> = {}): Promise<Response> {
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: sandbox.clientId,
    client_secret: sandbox.clientSecret,
    ...form,
  });
  return fetch(`${sandbox.url}/oauth/token`, { method: 'POST', body, signal: bounded() });
}

export async function bearerOf(sandbox: CxoneSandbox): Promise<string> {
  const answer = (await (await postToken(sandbox)).json()) as { access_token: string };
  return answer.access_token;
}

/** What a test reads of the answer to a creation. */
export interface SessionAnswer {
  sessionId: string;
  token: string;
}

export function postSession(
  sandbox: CxoneSandbox,
  bearer: string,
  payload: unknown = sessionPayload(),
  headers: Record<string, string> = { 'x-request-id': randomUUID() },
): Promise<Response> {
  return fetch(`${sandbox.url}/api/v1/messaging/sessions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json', ...headers },
    body: typeof payload === 'string' ? payload : JSON.stringify(payload),
    signal: bounded(),
  });
}

export function getSessions(sandbox: CxoneSandbox, bearer: string, guestId = GUEST): Promise<Response> {
  return fetch(`${sandbox.url}/api/v1/messaging/sessions?guestId=${guestId}&status=active`, {
    headers: { authorization: `Bearer ${bearer}` },
    signal: bounded(),
  });
}

export function deleteSession(sandbox: CxoneSandbox, bearer: string, sessionId: string): Promise<Response> {
  return fetch(`${sandbox.url}/api/v1/messaging/sessions/${sessionId}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${bearer}` },
    signal: bounded(),
  });
}

/** No request of a test outlasts it. */
function bounded(): AbortSignal {
  return AbortSignal.timeout(10_000);
}

/** How long `vi.waitFor` waits for a condition, and how often it looks. */
export const WITHIN = { timeout: 5000, interval: 5 };
