import type { RiskSignal } from '../../src/guest-session/ports.js';

/** What the seed example tells the fraud check. */
export const signal = (changes: Partial<RiskSignal> = {}): RiskSignal => ({
  guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
  deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j',
  isProxy: false,
  country: 'US',
  channel: 'WEBCHAT',
  ...changes,
});
