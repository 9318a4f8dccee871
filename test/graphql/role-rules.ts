import type { Role } from '../../src/access-settings.js';

/** Who may use what, by the rules of README: each operation of the schema is here. */
export const RULES: Readonly<Record<string, readonly Role[]>> = {
  createGuestSession: ['GUEST', 'BACKEND', 'OPS'],
  endGuestSession: ['GUEST', 'BACKEND', 'OPS'],
  session: ['GUEST', 'BACKEND', 'CRM', 'OPS'],
  sessions: ['BACKEND', 'CRM', 'OPS'],
  events: ['CRM', 'OPS'],
  sessionEvents: ['CRM', 'OPS'],
  webhookDeliveries: ['CRM', 'OPS'],
  webhookEndpoint: ['CRM', 'OPS'],
  replayWebhookDelivery: ['OPS'],
  replayWebhookDeliveries: ['OPS'],
  resumeWebhookEndpoint: ['OPS'],
  eraseGuest: ['OPS'],
  audits: ['OPS'],
  metrics: ['OPS'],
  verifyAuditTrail: ['OPS'],
};
