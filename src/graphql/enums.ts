import { registerEnumType } from 'type-graphql';
import { ErrorCode, PipelineStage } from '../errors.js';
import { Channel, CrmSyncStatus, RoutingPriority, SessionStatus } from '../guest-session/ports.js';
import { SessionEventType } from '../guest-session/session-event.js';
import { AuditKind, AuditStatus } from '../store/audit-chain.js';
import { DeliveryStatus, EndpointStatus } from '../store/delivery-status.js';

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
  'Why there is no session, or why what was asked for was not done. `UserError.retryable` says whether to try again.',
  {
    INVALID_INPUT: 'Something in the input is wrong: `field` says what. Correct it.',
    FRAUD_BLOCKED: 'The fraud check refused the guest. Do not try again.',
    CAPACITY_EXCEEDED: 'The guest has as many live sessions as are allowed. End one, or wait until one expires.',
    RATE_LIMITED:
      'CXone asks to slow down; or, at the stage VALIDATE, this device or address asks for too many sessions. Try again after ' +
      '`retryAfterSeconds`.',
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
    NOT_FOUND: 'There is no such session, or it was never opened; or there is no such webhook.',
    WEBHOOKS_DISABLED: 'There is no CRM to send webhooks to, or its endpoint is disabled: resume it first.',
    LEDGER_UNAVAILABLE: 'The server cannot write to its database. Try again later, with the same idempotency key.',
  },
);

register(
  PipelineStage,
  'PipelineStage',
  'The steps of opening a session, in order, and those of ending one, erasing a guest and sending webhooks again.',
  {
    VALIDATE: 'Checking the input, and whether too many sessions are asked for.',
    RECOGNISE: 'Looking for an earlier request with the same idempotency key.',
    FRAUD: 'Scoring the fraud risk.',
    RESERVE: "Taking one of the guest's places.",
    AUTHENTICATE: 'Getting an access token from CXone.',
    CAPACITY: "Counting the guest's live sessions at CXone.",
    CREATE: 'Opening the session at CXone.',
    CLOSE: 'Writing the outcome down.',
    END: 'Ending a session.',
    ERASE: 'Erasing a guest.',
    REPLAY: 'Sending a webhook again.',
  },
);

register(SessionEventType, 'SessionEventType', "What happened to a session, or to the CRM's endpoint.", {
  SESSION_REQUESTED: 'A place was taken, and the session is being opened.',
  SESSION_INITIATED: 'The session is open.',
  SESSION_REJECTED: 'Our rules refused it.',
  SESSION_FAILED: 'It could not be opened.',
  SESSION_CRM_SYNCED: 'The CRM has taken the webhook.',
  SESSION_CRM_SYNC_FAILED: 'The CRM did not take the webhook, and it is given up.',
  SESSION_ENDED: 'The session was ended.',
  SESSION_EXPIRED: 'Its time is over.',
  SESSION_RECONCILED: 'The outcome of an interrupted attempt was found out.',
  WEBHOOK_ENDPOINT_FAILING:
    'The CRM has taken no webhook for a large part of the time after which its endpoint is disabled.',
  WEBHOOK_ENDPOINT_DISABLED: "The CRM's endpoint was disabled: nothing is sent until it is resumed.",
  WEBHOOK_ENDPOINT_RESUMED: "The CRM's endpoint is active again, and gets what it has missed.",
});

register(AuditKind, 'AuditKind', 'What an audit entry records.', {
  SESSION_INITIATION: 'An attempt to open a session, with its outcome: one entry for each request id.',
  SESSION_ENDED: 'A session was ended, or was not: `status` and `errorCode` say which.',
  SESSION_EXPIRED: "A session's time is over.",
  CRM_SYNC: 'The CRM was told of a session, or could not be.',
  SESSION_RECONCILED: 'The outcome of an interrupted attempt was found out.',
  WEBHOOK_REPLAYED: 'A webhook was queued again on request.',
  WEBHOOK_ENDPOINT_DISABLED: "The CRM's endpoint was disabled.",
  WEBHOOK_ENDPOINT_RESUMED: "The CRM's endpoint was made active again.",
  SESSION_REPLAYED: 'An answer was given again to the same idempotency key.',
  ACCESS_REFUSED:
    'Somebody without a valid key, or without the right to do it, was turned away. The first is told of at once; what the same ' +
    'caller is refused for the same reason within a minute is counted (`attempts`).',
  SERVER_STARTED: 'The server was started, with these settings.',
  KEYS_CHANGED: 'The API keys were changed while the server ran, or were not, since the file of them is not valid.',
  GUEST_ERASED: "A guest's personal data was erased.",
  TRAIL_ARCHIVED: 'The oldest entries were moved to an archive.',
});

register(AuditStatus, 'AuditStatus', 'How what is recorded ended.', {
  SUCCESS: 'It was done.',
  REJECTED: 'Our rules said no.',
  FAILED: 'Something broke.',
});

register(DeliveryStatus, 'WebhookDeliveryStatus', 'How a webhook stands.', {
  PENDING: 'Not taken yet; it is being tried, or waits for an earlier one of its session.',
  DELIVERED: 'The CRM has taken it.',
  DEAD: 'Given up. It can be replayed.',
});

register(EndpointStatus, 'WebhookEndpointStatus', "How the CRM's endpoint stands.", {
  ACTIVE: 'Webhooks are sent to it.',
  DISABLED: 'It has answered 410, or failed for too long: nothing is sent until it is resumed.',
});
