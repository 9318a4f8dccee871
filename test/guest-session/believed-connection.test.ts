import { describe, expect, it } from 'vitest';
import { intentOf, withBelievedConnection } from '../../src/guest-session/believed-connection.js';
import { validateRequest } from '../../src/guest-session/validate-request.js';
import { SEED } from './seed.js';

const RULES = { defaultQueueId: 'queue-default' };
const CONNECTION = { isProxy: true, country: 'FR' };
const valid = (role: 'GUEST' | 'BACKEND' | 'OPS', said: object = {}) =>
  validateRequest(withBelievedConnection({ ...SEED, connection: CONNECTION, ...said }, { role }), RULES);

describe("a guest's connection", () => {
  it.each(['BACKEND', 'OPS'] as const)('is what a %s says of it, and unknown where it says nothing', (role) => {
    expect(valid(role)).toMatchObject({ isProxy: false, country: 'US' });
    expect(valid(role, { ipMetadata: null })).toMatchObject({ isProxy: false, country: null });
    expect(() => valid(role, { ipMetadata: { country: 'nowhere' } })).toThrow();
  });

  it('is what the server knows of it, whatever a GUEST says, and also where that is nonsense', () => {
    expect(valid('GUEST')).toMatchObject(CONNECTION);
    expect(valid('GUEST', { ipMetadata: { isProxy: false, country: 'nowhere' } })).toMatchObject(CONNECTION);
    expect(valid('GUEST', { connection: undefined })).toMatchObject({ isProxy: false, country: null });
  });
});

describe('what an idempotency key is held to', () => {
  it.each(['BACKEND', 'OPS'] as const)('of a %s is all that a valid request has, as ever, but the key', (role) => {
    const request = valid(role, { idempotencyKey: 'key' });

    // Another field, or another name, would make conflicts of all keys that are in the books.
    expect(intentOf(request, { role })).toEqual({
      guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
      deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j',
      crmId: 'crm_acct_44920',
      channel: 'WEBCHAT',
      priority: 'NORMAL',
      queueId: 'queue-default',
      languagePreference: 'en-US',
      isProxy: false,
      country: 'US',
    });
  });

  it('of a GUEST is the same without the connection, which may be another one the next time', () => {
    const { isProxy: _, country: __, ...said } = intentOf(valid('BACKEND'), { role: 'BACKEND' }) as typeof CONNECTION;

    expect(intentOf(valid('GUEST'), { role: 'GUEST' })).toEqual(said);
    expect(intentOf(valid('GUEST', { crmId: 'other' }), { role: 'GUEST' })).not.toEqual(said);
  });
});
