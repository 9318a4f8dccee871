import { Arg, Args, ArgsType, Ctx, Field, FieldResolver, Int, Query, Resolver, Root, Subscription } from 'type-graphql';
import { type SessionEventFilter, type SessionEventRecord, SessionEventType } from '../guest-session/session-event.js';
import { toPage } from '../store/page.js';
import type { GraphqlContext, Services } from './context.js';
import { badUserInput, searchable } from './error-format.js';
import { SessionEvent } from './event-types.js';
import { Authorized } from './field-roles.js';
import { connectionOf, eventCursor, pageSize, toConnection } from './relay.js';
import { GuestSession } from './session-types.js';

const SessionEventConnection = connectionOf(SessionEvent, 'SessionEvent', 'lifecycle events');

@ArgsType()
class EventArgs {
  @Field(() => String, { nullable: true, description: 'A cursor: go on after the event that it belongs to.' })
  after?: string | null;

  @Field(() => [SessionEventType], { nullable: true, description: 'Only events of these types.' })
  types?: SessionEventType[] | null;

  @Field(() => String, { nullable: true, description: 'Only events of this guest.' })
  guestId?: string | null;
}

const filterOf = ({ types, guestId }: EventArgs): SessionEventFilter => ({
  types: types ?? undefined,
  guestId: searchable(guestId?.toLowerCase(), 'guestId'),
});

/**
 * The sequence that a cursor is made of.
 * @throws BAD_USER_INPUT for one beyond the end of the log: it is of another database
 */
async function sequenceOf(cursor: string, { stream, events }: Services): Promise<number> {
  const sequence = eventCursor.read(cursor);
  // The database shows what was committed a moment before the stream hears of it.
  if (sequence <= stream.head || sequence <= (await events.newestSequence())) return sequence;
  throw badUserInput('"after" is not a cursor of this log.');
}

@Resolver(() => SessionEvent)
export class EventResolver {
  @Authorized('CRM', 'OPS')
  @Query(() => SessionEventConnection, { description: 'The log of what happened, oldest first.' })
  async events(
    @Ctx() { services }: GraphqlContext,
    @Args(() => EventArgs) args: EventArgs,
    @Arg('first', () => Int, { defaultValue: 100, description: 'How many, from 1 to 100.' }) first: number,
  ) {
    const size = pageSize(first);
    const after = args.after == null ? null : await sequenceOf(args.after, services);
    const rows = await services.events.eventsAfter(after, filterOf(args), size + 1);
    return toConnection(toPage(rows, size), eventCursor.of, args.after);
  }

  @Authorized('CRM', 'OPS')
  @Subscription(() => SessionEvent, {
    description:
      'What happens to sessions, as it happens. With `after`, first all that has happened since that cursor: nothing is missed, nothing comes twice.',
    subscribe: async ({ args, context: { services } }: { args: EventArgs; context: GraphqlContext }) => {
      const after = args.after == null ? undefined : await sequenceOf(args.after, services);
      return services.stream.follow(filterOf(args), after);
    },
  })
  sessionEvents(@Root() event: SessionEventRecord, @Args(() => EventArgs) _args: EventArgs): SessionEventRecord {
    return event;
  }

  @FieldResolver(() => String, { description: 'Where in the log it stands: subscribe or page on with `after:` this.' })
  cursor(@Root() event: SessionEventRecord): string {
    return eventCursor.of(event);
  }

  @FieldResolver(() => GuestSession, { nullable: true, description: 'The session as it stands now.' })
  session(@Root() event: SessionEventRecord, @Ctx() { loaders }: GraphqlContext) {
    return loaders.session.load(event.requestId);
  }
}
