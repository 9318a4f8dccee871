import { setMaxListeners } from 'node:events';
import { createRequire } from 'node:module';
import { GraphQLDateTime } from 'graphql-scalars';
import { useServer } from 'graphql-ws/use/ws';
import { Arg, buildSchemaSync, FieldResolver, Query, Resolver, Root, Subscription } from 'type-graphql';
import { WebSocketServer } from 'ws';
import '../../dist/graphql/enums.js';
import { SessionEvent } from '../../dist/graphql/event-types.js';
import { eventCursor } from '../../dist/graphql/relay.js';

// type-graphql's documentation makes the pub/sub with this package, and brings it along.
const { createPubSub } = createRequire(createRequire(import.meta.url).resolve('type-graphql'))(
  '@graphql-yoga/subscription',
);

const TOPIC = 'SESSION_EVENT';

/** The same field and type as ours, as type-graphql's documentation would have it. */
class StockResolver {
  nothing() {
    return null;
  }
  sessionEvents(event) {
    return event;
  }
  cursor(event) {
    return eventCursor.of(event);
  }
}
const descriptor = (name) => Object.getOwnPropertyDescriptor(StockResolver.prototype, name);
const { prototype } = StockResolver;
Resolver(() => SessionEvent)(StockResolver);
Query(() => String, { nullable: true })(prototype, 'nothing', descriptor('nothing'));
Subscription(() => SessionEvent, { topics: TOPIC })(prototype, 'sessionEvents', descriptor('sessionEvents'));
Root()(prototype, 'sessionEvents', 0);
Arg('after', () => String, { nullable: true })(prototype, 'sessionEvents', 1);
FieldResolver(() => String)(prototype, 'cursor', descriptor('cursor'));
Root()(prototype, 'cursor', 0);

/**
 * A subscription server as one builds it from the manuals of graphql-ws and type-graphql.
 *
 * @param {import('node:http').Server} http
 * @returns {(events: readonly object[]) => void} takes in what was committed
 */
export function attachStock(http) {
  const eventTarget = new EventTarget();
  setMaxListeners(0, eventTarget); // else Node warns of a leak
  const pubSub = createPubSub({ eventTarget });
  const schema = buildSchemaSync({
    resolvers: [StockResolver],
    scalarsMap: [{ type: Date, scalar: GraphQLDateTime }],
    validate: false,
    pubSub,
  });
  useServer({ schema }, new WebSocketServer({ server: http, path: '/graphql', perMessageDeflate: false }));
  return (events) => {
    for (const event of events) pubSub.publish(TOPIC, event);
  };
}
