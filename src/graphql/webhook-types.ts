import { Field, Float, ID, InputType, Int, ObjectType } from 'type-graphql';
import { SessionEventType, type WebhookEventType } from '../guest-session/session-event.js';
import type { DeliveryFilter as DeliveryCriteria, EndpointRecord } from '../store/delivery-reader.js';
import { DeliveryStatus, EndpointStatus } from '../store/delivery-status.js';
import { UserError } from './session-types.js';

@ObjectType({ description: 'One try to deliver a webhook.', simpleResolvers: true })
export class WebhookAttempt {
  @Field(() => Int, { description: 'Which try it was, from 1.' })
  number!: number;

  @Field(() => Date, { description: 'When it was sent.' })
  startedAt!: Date;

  @Field(() => Float, { description: 'How long the CRM took, in milliseconds.' })
  durationMs!: number;

  @Field(() => Int, { nullable: true, description: "The CRM's HTTP status; null where there was no whole answer." })
  statusCode!: number | null;

  @Field(() => String, { nullable: true, description: 'What went wrong; null when the CRM took it.' })
  error!: string | null;
}

@ObjectType({ description: 'A webhook to the CRM, and how that stands.', simpleResolvers: true })
export class WebhookDelivery {
  @Field(() => ID, { description: 'The `webhook-id` of every try: the id of the event that it tells of.' })
  id!: string;

  @Field(() => SessionEventType, { description: 'What it tells of.' })
  eventType!: WebhookEventType;

  @Field(() => DeliveryStatus, { description: 'How it stands.' })
  status!: DeliveryStatus;

  @Field(() => ID, { description: 'The attempt that it is about.' })
  requestId!: string;

  @Field(() => String, { description: 'The JSON that is sent.' })
  body!: string;

  @Field(() => Date, { description: 'When the event happened.' })
  createdAt!: Date;

  @Field(() => Int, { description: 'Tries so far.' })
  attempts!: number;

  @Field(() => Date, {
    nullable: true,
    description:
      'When it is tried next, at the earliest. Null once it is concluded, and while an earlier one of its session comes first. While it is ' +
      'being tried: when it is taken for lost.',
  })
  nextAttemptAt!: Date | null;

  @Field(() => Date, { nullable: true, description: 'When it was delivered or given up.' })
  concludedAt!: Date | null;

  @Field(() => String, { nullable: true, description: 'What went wrong last; null when nothing did.' })
  lastError!: string | null;
}

@InputType({ description: 'Which webhooks; all conditions hold at once.' })
export class WebhookDeliveryFilter implements DeliveryCriteria {
  @Field(() => DeliveryStatus, { nullable: true, description: 'That stand like this.' })
  status?: DeliveryStatus | null;

  @Field(() => SessionEventType, { nullable: true, description: 'That tell of this.' })
  eventType?: WebhookEventType | null;

  @Field(() => String, { nullable: true, description: 'About this attempt.' })
  requestId?: string | null;

  @Field(() => String, { nullable: true, description: 'About the session of this id at CXone.' })
  sessionId?: string | null;

  @Field(() => Date, { nullable: true, description: 'Of events at this time or later.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Of events before this time.' })
  to?: Date | null;
}

@ObjectType({ description: "How the CRM's end of the webhooks does.", simpleResolvers: true })
export class WebhookEndpoint implements EndpointRecord {
  @Field(() => EndpointStatus, { description: 'Whether anything is sent to it.' })
  status!: EndpointStatus;

  @Field(() => Date, { nullable: true, description: 'Since when it has taken nothing; null while it does.' })
  failingSince!: Date | null;

  @Field(() => Date, { nullable: true, description: 'When it was disabled.' })
  disabledAt!: Date | null;

  @Field(() => String, { nullable: true, description: 'Why it was disabled.' })
  disabledReason!: string | null;
}

@ObjectType({ description: 'What came of replaying a webhook.', simpleResolvers: true })
export class ReplayWebhookDeliveryPayload {
  @Field(() => WebhookDelivery, {
    nullable: true,
    description: 'As it stands now; null where there is none of that id.',
  })
  delivery!: WebhookDelivery | null;

  @Field(() => [UserError], { description: 'Why it was not queued; empty when it was.' })
  userErrors!: UserError[];
}

@ObjectType({ description: 'What came of replaying webhooks.', simpleResolvers: true })
export class ReplayWebhookDeliveriesPayload {
  @Field(() => Int, { description: 'How many were queued.' })
  replayed!: number;

  @Field(() => [UserError], { description: 'Why it was not done, or not to the end; empty when all were queued.' })
  userErrors!: UserError[];
}

@ObjectType({ description: "What came of resuming the CRM's endpoint.", simpleResolvers: true })
export class ResumeWebhookEndpointPayload {
  @Field(() => WebhookEndpoint, { nullable: true, description: 'As it stands now; null where there is no CRM.' })
  endpoint!: WebhookEndpoint | null;

  @Field(() => Int, { description: 'How many webhooks it gets that it has missed; 0 where it was not disabled.' })
  revived!: number;

  @Field(() => [UserError], { description: 'Why it was not resumed; empty when it is active.' })
  userErrors!: UserError[];
}
