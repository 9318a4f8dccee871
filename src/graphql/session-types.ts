import { Field, Float, ID, InputType, Int, ObjectType } from 'type-graphql';
import { ErrorCode, PipelineStage } from '../errors.js';
import {
  Channel,
  type CreateGuestSessionRequest,
  CrmSyncStatus,
  type EndGuestSessionRequest,
  type GuestSessionRecord,
  RoutingPriority,
  SessionStatus,
} from '../guest-session/ports.js';
import type { SessionFilter as SessionCriteria } from '../store/session-reader.js';
import { Authorized } from './field-roles.js';

@InputType({
  description:
    'What is known of the connection that the guest comes from. Believed from keys with the roles BACKEND and OPS. From a ' +
    'key with the role GUEST it is not read: there the connection itself tells, as far as the server is set up to hear it.',
})
export class IpMetadataInput {
  @Field(() => Boolean, {
    nullable: true,
    defaultValue: false,
    description: 'True for a proxy or VPN: 20 points more risk.',
  })
  isProxy?: boolean | null;

  @Field(() => String, { nullable: true, description: 'ISO 3166-1 alpha-2 country code, such as "US".' })
  country?: string | null;
}

@InputType({ description: 'What it takes to open a guest session.' })
export class CreateGuestSessionInput implements CreateGuestSessionRequest {
  @Field(() => String, {
    description: 'The guest: a UUID, or "guest-" and a UUID. Upper and lower case are the same guest.',
  })
  guestId!: string;

  @Field(() => String, {
    description:
      'What your page knows the device by: 1 to 512 printable characters. It is scored, and kept only as a keyed hash.',
  })
  deviceFingerprint!: string;

  @Field(() => String, { nullable: true, description: "The guest's account in your CRM: at most 128 characters." })
  crmId?: string | null;

  @Field(() => Channel, { nullable: true, defaultValue: Channel.WEBCHAT, description: 'The messaging channel.' })
  channel?: Channel | null;

  @Field(() => RoutingPriority, {
    nullable: true,
    defaultValue: RoutingPriority.NORMAL,
    description: 'How urgent it is.',
  })
  priority?: RoutingPriority | null;

  @Field(() => String, {
    nullable: true,
    description: 'The CXone queue; by default the one that the server is set up with.',
  })
  queueId?: string | null;

  @Field(() => String, {
    nullable: true,
    defaultValue: 'en-US',
    description: 'The language that the guest prefers: a BCP 47 tag.',
  })
  languagePreference?: string | null;

  @Field(() => IpMetadataInput, { nullable: true, description: 'The connection that the guest comes from.' })
  ipMetadata?: IpMetadataInput | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Names your intent: 1 to 255 characters, such as a UUID. Sent again with the same key, the same input opens no second ' +
      'session but gives the first answer again. May be sent as the HTTP header `Idempotency-Key` instead.',
  })
  idempotencyKey?: string | null;
}

@ObjectType({ description: 'Why there is no session, in a form that a program can act on.', simpleResolvers: true })
export class UserError {
  @Field(() => ErrorCode, { description: 'What went wrong. Switch on this.' })
  code!: ErrorCode;

  @Field(() => String, { description: 'The same for people.' })
  message!: string;

  @Field(() => [String], {
    nullable: true,
    description: 'Where in the arguments the problem lies, such as ["input", "guestId"]; null where it lies elsewhere.',
  })
  field!: string[] | null;

  @Field(() => PipelineStage, { description: 'The step that refused.' })
  stage!: PipelineStage;

  @Field(() => Boolean, { description: 'Whether the same request may succeed later.' })
  retryable!: boolean;

  @Field(() => Float, { nullable: true, description: 'Seconds to wait before trying again, where that is known.' })
  retryAfterSeconds!: number | null;
}

@ObjectType({
  description: 'A guest session, or an attempt to open one that got as far as taking a place.',
  simpleResolvers: true,
})
export class GuestSession implements Omit<GuestSessionRecord, 'callerName' | 'endedUpstream'> {
  @Field(() => ID, { description: 'Our id of the session: the request id of the attempt that opened it.' })
  id!: string;

  @Field(() => String, { nullable: true, description: "The session's id at CXone." })
  sessionId!: string | null;

  @Field(() => String, { description: 'The guest; `erased` once it was erased.' })
  guestId!: string;

  @Field(() => Boolean, { description: 'Whether the guest was erased: nobody knows any more whose session it was.' })
  erased!: boolean;

  @Field(() => String, { nullable: true, description: "The guest's account in the CRM." })
  crmId!: string | null;

  @Field(() => Channel, { description: 'The messaging channel.' })
  channel!: Channel;

  @Field(() => SessionStatus, { description: 'Where the session stands.' })
  status!: SessionStatus;

  @Field(() => Date, { description: 'When it was asked for.' })
  createdAt!: Date;

  @Field(() => Date, { nullable: true, description: 'When its time is over.' })
  expiresAt!: Date | null;

  @Field(() => Date, { nullable: true, description: 'When it ended or expired.' })
  endedAt!: Date | null;

  @Field(() => Float, { nullable: true, description: 'How long opening it took, in milliseconds.' })
  durationMs!: number | null;

  @Field(() => Int, { description: 'How often it was sent to CXone.' })
  attempts!: number;

  @Field(() => CrmSyncStatus, { description: 'Whether the CRM has been told.' })
  crmSync!: CrmSyncStatus;

  // Whoever can read its score can try until it is low. (A simple field would pass the rule over.)
  @Authorized('BACKEND', 'CRM', 'OPS')
  @Field(() => Int, { simple: false, nullable: true, description: 'The fraud score, from 0 (harmless) to 100.' })
  fraudScore!: number | null;

  @Field(() => ErrorCode, { nullable: true, description: 'Why it failed.' })
  failureCode!: ErrorCode | null;
}

@ObjectType({
  description: 'What came of opening a session: a session and its token, or errors.',
  simpleResolvers: true,
})
export class CreateGuestSessionPayload {
  @Field(() => ID, {
    description:
      'Names this attempt in audits, events and logs. Quote it when you ask operations. What is RATE_LIMITED at the stage ' +
      'VALIDATE is no attempt, and in none of them.',
  })
  requestId!: string;

  @Field(() => GuestSession, { nullable: true, description: 'The session; null when it was refused or failed.' })
  session!: GuestSession | null;

  @Field(() => String, {
    nullable: true,
    description:
      "The guest's credential at CXone. It is given here and nowhere else, so keep it. Null in the answer to a repeated " +
      'request when the session is over.',
  })
  clientToken!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Subscribe to `sessionEvents` with `after:` this, and nothing that happens to the session later is missed.',
  })
  eventCursor!: string | null;

  @Field(() => Boolean, {
    description: 'True when this is the answer to an earlier request with the same idempotency key.',
  })
  replayed!: boolean;

  @Field(() => [UserError], { description: 'Why there is no session; empty when there is one.' })
  userErrors!: UserError[];
}

@InputType({ description: 'Which session to end.' })
export class EndGuestSessionInput implements EndGuestSessionRequest {
  @Field(() => ID, { nullable: true, description: 'Our id of the session; or give `sessionId`.' })
  id?: string | null;

  @Field(() => String, { nullable: true, description: "The session's id at CXone; or give `id`." })
  sessionId?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Why, for the audit trail and the event stream: at most 200 characters.',
  })
  reason?: string | null;
}

@ObjectType({ description: 'What came of ending a session.', simpleResolvers: true })
export class EndGuestSessionPayload {
  @Field(() => GuestSession, { nullable: true, description: 'As it stands now; null where there is no such session.' })
  session!: GuestSession | null;

  @Field(() => Boolean, {
    description:
      'Whether CXone has ended it as well. False where CXone knew it no longer or cannot end sessions; it is ended here all ' +
      'the same, and the audit trail says which.',
  })
  upstreamEnded!: boolean;

  @Field(() => [UserError], { description: 'Why it was not ended; empty when it is over.' })
  userErrors!: UserError[];
}

@InputType({ description: 'Which sessions; all conditions hold at once.' })
export class SessionFilter implements SessionCriteria {
  @Field(() => String, { nullable: true, description: 'Of this guest.' })
  guestId?: string | null;

  @Field(() => String, { nullable: true, description: 'Of this CRM account.' })
  crmId?: string | null;

  @Field(() => SessionStatus, { nullable: true, description: 'That stand like this.' })
  status?: SessionStatus | null;

  @Field(() => Date, { nullable: true, description: 'Asked for at this time or later.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Asked for before this time.' })
  to?: Date | null;
}
