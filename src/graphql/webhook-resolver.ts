import { Arg, Args, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { DeliveryRecord } from '../store/delivery-reader.js';
import { DeliveryStatus } from '../store/delivery-status.js';
import type { GraphqlContext } from './context.js';
import { badUserInput, searchable } from './error-format.js';
import { Authorized } from './field-roles.js';
import { orRefused } from './mutation-payloads.js';
import { connectionOf, deliveryCursor, PageArgs, pageSize, toConnection } from './relay.js';
import { GuestSession } from './session-types.js';
import {
  ReplayWebhookDeliveriesPayload,
  ReplayWebhookDeliveryPayload,
  ResumeWebhookEndpointPayload,
  WebhookAttempt,
  WebhookDelivery,
  WebhookDeliveryFilter,
  WebhookEndpoint,
} from './webhook-types.js';

const WebhookDeliveryConnection = connectionOf(WebhookDelivery, 'WebhookDelivery', 'webhooks');

@Resolver(() => WebhookDelivery)
export class WebhookResolver {
  @Authorized('CRM', 'OPS')
  @Query(() => WebhookDeliveryConnection, { description: 'The webhooks to the CRM, newest first.' })
  webhookDeliveries(
    @Ctx() { services }: GraphqlContext,
    @Args(() => PageArgs) { first, after }: PageArgs,
    @Arg('filter', () => WebhookDeliveryFilter, { nullable: true, description: 'Which ones; all by default.' })
    filter?: WebhookDeliveryFilter,
  ) {
    const position = after == null ? null : deliveryCursor.read(after);
    const requestId = searchable(filter?.requestId, 'requestId');
    const criteria = { ...filter, requestId, sessionId: searchable(filter?.sessionId, 'sessionId') };
    return toConnection(services.deliveries.page(criteria, pageSize(first), position), deliveryCursor.of, after);
  }

  @Authorized('CRM', 'OPS')
  @Query(() => WebhookEndpoint, {
    nullable: true,
    description: "How the CRM's end of the webhooks does; null where there never was one.",
  })
  webhookEndpoint(@Ctx() { services }: GraphqlContext) {
    return services.deliveries.endpoint();
  }

  @Authorized('OPS')
  @Mutation(() => ReplayWebhookDeliveryPayload, {
    description:
      'Queues one webhook again, whatever became of it, with its `webhook-id` and its bytes. One that waits for its next try is ' +
      'due now. Its schedule begins anew.',
  })
  async replayWebhookDelivery(
    @Arg('id', () => ID, { description: 'Which one.' }) id: string,
    @Ctx() { services, caller }: GraphqlContext,
  ): Promise<ReplayWebhookDeliveryPayload> {
    const { userErrors } = await orRefused(services.webhooks.replay(searchable(id, 'id'), caller));
    return { delivery: services.deliveries.byId(id), userErrors };
  }

  @Authorized('OPS')
  @Mutation(() => ReplayWebhookDeliveriesPayload, {
    description: 'Queues again all webhooks of a time and a status, those of one session in their order.',
  })
  async replayWebhookDeliveries(
    @Ctx() { services, caller }: GraphqlContext,
    @Arg('since', () => Date, { description: 'Of events at this time or later.' }) since: Date,
    @Arg('until', () => Date, { nullable: true, description: 'Of events before this time; by default now.' })
    until?: Date | null,
    @Arg('status', () => DeliveryStatus, {
      nullable: true,
      defaultValue: DeliveryStatus.DEAD,
      description: 'Those that stand like this: PENDING has them tried now.',
    })
    status?: DeliveryStatus | null,
  ): Promise<ReplayWebhookDeliveriesPayload> {
    const range = { since, until: until ?? new Date(), status: status ?? DeliveryStatus.DEAD };
    if (range.until < since) throw badUserInput('"until" must not be before "since".');
    let replayed = 0;
    const count = (batch: number) => {
      replayed += batch;
    };
    const { userErrors } = await orRefused(services.webhooks.replayAll(range, caller, count));
    return { replayed, userErrors };
  }

  @Authorized('OPS')
  @Mutation(() => ResumeWebhookEndpointPayload, {
    description:
      "Makes the CRM's endpoint active again after it was disabled, and queues what it has missed. One that is active stays so.",
  })
  async resumeWebhookEndpoint(@Ctx() { services, caller }: GraphqlContext): Promise<ResumeWebhookEndpointPayload> {
    const { value, userErrors } = await orRefused(services.webhooks.resume(caller));
    return { endpoint: await services.deliveries.endpoint(), revived: value ?? 0, userErrors };
  }

  @FieldResolver(() => [WebhookAttempt], { description: 'The log of its tries, in order.' })
  tries(@Root() { id }: DeliveryRecord, @Ctx() { loaders }: GraphqlContext) {
    return loaders.tries.load(id);
  }

  @FieldResolver(() => GuestSession, { nullable: true, description: 'The session that it is about, as it stands now.' })
  session(@Root() { requestId }: DeliveryRecord, @Ctx() { loaders }: GraphqlContext) {
    return loaders.session.load(requestId);
  }
}
