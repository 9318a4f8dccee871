import { registerEnumType } from 'type-graphql';
import { ErrorCode, PipelineStage } from '../errors.js';
import { Channel, CrmSyncStatus, RoutingPriority, SessionStatus } from '../guest-session/ports.js';
import { SessionEventType } from '../guest-session/session-event.js';
import { AuditKind, AuditStatus } from '../store/audit-chain.js';

function register<Value extends string>(
  values: Readonly<Record<Value, Value>>,
  name: string,
  description: string,
  meanings: Readonly<Record<Value, string>>,
): void {
  const entries = Object.entries<string>(meanings).map(([value, text]) => [value, { description: text }] as const);
  registerEnumType(values, { name, description, valuesConfig: Object.fromEntries(entries) as never });
}

register(Channel, 'Channel', 'The messaging channel of a session.', {
  WEBCHAT: 'Chat on a web page.',
  SMS: 'Text messages.',
  WHATSAPP: 'WhatsApp.',
});

register(RoutingPriority, 'RoutingPriority', 'How urgently CXone routes the session to an agent.', {
  LOW: 'After all others.',
  NORMAL: 'In turn.',
  HIGH: 'Before all others.',
});

register(SessionStatus, 'SessionStatus', 'Where a session stands.', {
  PENDING: 'Being opened.',
  ACTIVE: 'Live: the guest can use its token.',
  ENDED: 'Ended before its time.',
  EXPIRED: 'Its time is over.',
  FAILED: 'Never opened; `failureCode` says why.',
  UNKNOWN: "CXone's answer was lost: the session may exist, so its place stays held.",
});

register(CrmSyncStatus, 'CrmSyncStatus', 'Whether the CRM has been told of a session.', {
  DISABLED: 'There is nothing to tell, or no CRM.',
  PENDING: 'Not yet; it is being tried.',
  DELIVERED: 'The CRM has taken it.',
  FAILED: 'Given up after the last try.',
});

register(
  ErrorCode,
  'ErrorCode',
  'Why there is no session, or why it was not ended. `UserError.retryable` says whether to try again.',
  {
    INVALID_INPUT: 'Something in the input is wrong: `field` says what. Correct it.',
    FRAUD_BLOCKED: 'The fraud check refused the guest. Do not try again.',
    CAPACITY_EXCEEDED: 'The guest has as many live sessions as are allowed. End one, or wait until one expires.',
    RATE_LIMITED: 'CXone asks to slow down. Try again after `retryAfterSeconds`.',
    CXONE_AUTH_FAILED: 'CXone does not accept our credentials. Operations must look at CXONE_CLIENT_ID and its secret.',
    CXONE_SCOPE_MISSING: 'Our credentials lack the right to open sessions. Operations must grant messaging:write.',
    CXONE_SCHEMA_REJECTED: "CXone found fault with the request. The audit trail has CXone's words.",
    CXONE_REJECTED: "CXone refused the request. The audit trail has CXone's words.",
    CXONE_UNAVAILABLE: 'CXone cannot be reached, and nothing was opened. Try again later.',
    CXONE_CONTRACT_BROKEN: 'CXone gave an answer that cannot be read, and nothing was opened.',
    FRAUD_CHECK_UNAVAILABLE: 'The fraud check did not answer. Try again later.',
    OUTCOME_UNKNOWN:
      'The request reached CXone, but its answer was lost. The session may exist; its place stays held. With an idempotency ' +
      'key, try again with the same one: you get the session, or another in its place.',
    DEADLINE_EXCEEDED: 'It took too long, and nothing was opened. Try again.',
    IDEMPOTENCY_CONFLICT: 'The idempotency key was used for another input. Use a new key for a new intent.',
    IDEMPOTENCY_IN_FLIGHT: 'A request with this idempotency key is still at work. Try again with the same key.',
    NOT_FOUND: 'There is no such session, or it was never opened.',
    LEDGER_UNAVAILABLE: 'The server cannot write to its database. Try again later, with the same idempotency key.',
  },
);

register(PipelineStage, 'PipelineStage', 'The steps of opening a session, in order, and that of ending one.', {
  VALIDATE: 'Checking the input.',
  RECOGNISE: 'Looking for an earlier request with the same idempotency key.',
  FRAUD: 'Scoring the fraud risk.',
  RESERVE: "Taking one of the guest's places.",
  AUTHENTICATE: 'Getting an access token from CXone.',
  CAPACITY: "Counting the guest's live sessions at CXone.",
  CREATE: 'Opening the session at CXone.',
  CLOSE: 'Writing the outcome down.',
  END: 'Ending a session.',
});

register(SessionEventType, 'SessionEventType', 'What happened to a session.', {
  SESSION_REQUESTED: 'A place was taken, and the session is being opened.',
  SESSION_INITIATED: 'The session is open.',
  SESSION_REJECTED: 'Our rules refused it.',
  SESSION_FAILED: 'It could not be opened.',
  SESSION_CRM_SYNCED: 'The CRM has taken the webhook.',
  SESSION_CRM_SYNC_FAILED: 'The CRM did not take the webhook, and it is given up.',
  SESSION_ENDED: 'The session was ended.',
  SESSION_EXPIRED: 'Its time is over.',
  SESSION_RECONCILED: 'The outcome of an interrupted attempt was found out.',
});

register(AuditKind, 'AuditKind', 'What an audit entry records.', {
  SESSION_INITIATION: 'An attempt to open a session, with its outcome: one entry for each request id.',
  SESSION_ENDED: 'A session was ended.',
  SESSION_EXPIRED: "A session's time is over.",
  CRM_SYNC: 'The CRM was told of a session, or could not be.',
  SESSION_RECONCILED: 'The outcome of an interrupted attempt was found out.',
  WEBHOOK_REPLAYED: 'A webhook was sent again on request.',
  GUEST_ERASED: "A guest's personal data was erased.",
});

register(AuditStatus, 'AuditStatus', 'How what is recorded ended.', {
  SUCCESS: 'It was done.',
  REJECTED: 'Our rules said no.',
  FAILED: 'Something broke.',
});
