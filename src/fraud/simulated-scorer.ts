import { createHash } from 'node:crypto';
import type { RiskAssessment, RiskScorer, RiskSignal } from '../guest-session/ports.js';

const PROXY_PENALTY = 20;

/**
 * A stand-in for a fraud service: a score made of the fingerprint's hash, so that the same device gets the same answer every
 * time. It knows nothing of fraud, and refuses about a quarter of all devices.
 */
export class SimulatedScorer implements RiskScorer {
  async score({ deviceFingerprint, isProxy }: RiskSignal): Promise<RiskAssessment> {
    const digest = createHash('sha256').update(deviceFingerprint).digest('hex');
    const base = Number.parseInt(digest.slice(0, 8), 16) % 100;
    return {
      score: Math.min(100, base + (isProxy ? PROXY_PENALTY : 0)),
      reasons: isProxy ? ['proxy'] : [],
      provider: 'simulated',
      degraded: false,
    };
  }
}
