import { Arg, Ctx, Query, Resolver } from 'type-graphql';
import { minuteOf } from '../store/metric-bucket.js';
import type { GraphqlContext } from './context.js';
import { badUserInput } from './error-format.js';
import { Authorized } from './field-roles.js';
import { SessionMetrics } from './metrics-types.js';
import { sliceLengthMs, summarise } from './summarise-metrics.js';

const DAY_MS = 86_400_000;
const MAX_RANGE_DAYS = 31;

@Resolver()
export class MetricsResolver {
  @Authorized('OPS')
  @Query(() => SessionMetrics, { description: 'What happened in a stretch of time: by default the last 24 hours.' })
  async metrics(
    @Ctx() { services: { metrics, sessions } }: GraphqlContext,
    @Arg('from', () => Date, { nullable: true, description: 'By default 24 hours before `to`.' }) fromArg?: Date,
    @Arg('to', () => Date, { nullable: true, description: 'By default now.' }) toArg?: Date,
  ): Promise<SessionMetrics> {
    const to = toArg ?? new Date();
    const asked = fromArg ?? new Date(to.getTime() - DAY_MS);
    if (asked >= to) throw badUserInput('"from" must be before "to".');
    if (to.getTime() - asked.getTime() > MAX_RANGE_DAYS * DAY_MS) {
      throw badUserInput(`"from" and "to" must be at most ${MAX_RANGE_DAYS} days apart.`);
    }
    const from = new Date(minuteOf(asked));
    const [slices, activeSessions, pending] = await Promise.all([
      metrics.slices(from, to, sliceLengthMs(from, to)),
      sessions.countActive(),
      metrics.pendingDeliveries(),
    ]);
    return summarise({ from, to, slices, activeSessions, pending });
  }
}
