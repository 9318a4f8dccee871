import { Field, ID, ObjectType } from 'type-graphql';
import { Channel, SessionStatus } from '../guest-session/ports.js';
import { SessionEventType } from '../guest-session/session-event.js';

@ObjectType({ description: 'One thing that happened to a guest session.', simpleResolvers: true })
export class SessionEvent {
  /** Not a field of its own: its cursor is made of it. */
  sequence!: number;

  @Field(() => ID, { description: 'The id of the event; the webhook about it has the same.' })
  id!: string;

  @Field(() => SessionEventType, { description: 'What happened.' })
  type!: SessionEventType;

  @Field(() => Date, { description: 'When.' })
  occurredAt!: Date;

  @Field(() => ID, { description: 'The attempt that it is about.' })
  requestId!: string;

  @Field(() => String, {
    nullable: true,
    description: 'The guest; null where the request had none that could be read.',
  })
  guestId!: string | null;

  @Field(() => String, { nullable: true, description: "The guest's account in the CRM." })
  crmId!: string | null;

  @Field(() => String, { nullable: true, description: "The session's id at CXone." })
  sessionId!: string | null;

  @Field(() => Channel, { nullable: true, description: 'The messaging channel.' })
  channel!: Channel | null;

  @Field(() => SessionStatus, {
    nullable: true,
    description: 'Where the session stood afterwards; null where there is none.',
  })
  status!: SessionStatus | null;

  @Field(() => String, { nullable: true, description: 'Why: an error code, or what the CRM answered.' })
  reason!: string | null;

  @Field(() => Date, { nullable: true, description: "When the session's time is over." })
  expiresAt!: Date | null;
}
