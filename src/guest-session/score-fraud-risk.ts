import { AttemptError } from '../errors.js';
import type { RiskAssessment } from './ports.js';

/**
 * Lets a request pass whose score is at most the threshold.
 * @throws AttemptError FRAUD_BLOCKED; the score and its reasons are for operations alone
 */
export function refuseRisk(risk: RiskAssessment, threshold: number): void {
  if (risk.score <= threshold) return;
  const reasons = risk.reasons.length > 0 ? ` (${risk.reasons.join(', ')})` : '';
  throw new AttemptError('FRAUD_BLOCKED', { detail: `score ${risk.score} is above ${threshold}${reasons}` });
}
