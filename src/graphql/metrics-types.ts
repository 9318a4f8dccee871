import { Field, Float, Int, ObjectType } from 'type-graphql';
import { ErrorCode, PipelineStage } from '../errors.js';
import { AuditStatus } from '../store/audit-chain.js';

@ObjectType({ description: 'How long things took, in milliseconds; at most 5 % off.', simpleResolvers: true })
export class LatencyPercentiles {
  @Field(() => Float, { description: 'Half took at most this long.' })
  p50Ms!: number;

  @Field(() => Float, { description: '90 % took at most this long.' })
  p90Ms!: number;

  @Field(() => Float, { description: '95 % took at most this long.' })
  p95Ms!: number;

  @Field(() => Float, { description: '99 % took at most this long.' })
  p99Ms!: number;

  @Field(() => Float, { description: 'The longest.' })
  maxMs!: number;
}

@ObjectType({ description: 'One step of opening sessions.', simpleResolvers: true })
export class StageMetrics {
  @Field(() => PipelineStage, { description: 'The step.' })
  stage!: PipelineStage;

  @Field(() => Int, { description: 'How often it ran.' })
  count!: number;

  @Field(() => Float, { nullable: true, description: 'The average, in milliseconds.' })
  averageMs!: number | null;

  @Field(() => LatencyPercentiles, { nullable: true, description: 'The distribution.' })
  latency!: LatencyPercentiles | null;
}

@ObjectType({ description: 'How often attempts ended in one way.', simpleResolvers: true })
export class OutcomeCount {
  @Field(() => AuditStatus, { description: 'How they ended.' })
  status!: AuditStatus;

  @Field(() => ErrorCode, { nullable: true, description: 'Why; null for successes and faults of our own.' })
  errorCode!: ErrorCode | null;

  @Field(() => Int, { description: 'How many.' })
  count!: number;
}

@ObjectType({ description: 'How telling the CRM went.', simpleResolvers: true })
export class CrmMetrics {
  @Field(() => Int, { description: 'Webhooks that the CRM took, in the time asked for.' })
  delivered!: number;

  @Field(() => Int, { description: 'Webhooks given up after the last try, in the time asked for.' })
  failed!: number;

  @Field(() => Int, { description: 'Webhooks that are waiting now.' })
  pending!: number;
}

@ObjectType({ description: 'One stretch of the time asked for.', simpleResolvers: true })
export class MetricPoint {
  @Field(() => Date, { description: 'When it begins; it lasts until the next one, or as long as the others.' })
  from!: Date;

  @Field(() => Int, { description: 'Attempts.' })
  totalRequests!: number;

  @Field(() => Int, { description: 'Sessions opened.' })
  successfulRequests!: number;

  @Field(() => Float, { nullable: true, description: 'Average time of an attempt, in milliseconds.' })
  averageLatencyMs!: number | null;
}

@ObjectType({ description: 'What happened in a stretch of time, counted by the minute.', simpleResolvers: true })
export class SessionMetrics {
  @Field(() => Date, { description: 'From the beginning of this minute,' })
  from!: Date;

  @Field(() => Date, { description: 'to this time.' })
  to!: Date;

  @Field(() => Int, { description: 'Attempts in all.' })
  totalRequests!: number;

  @Field(() => Int, { description: 'Attempts that opened a session.' })
  successfulRequests!: number;

  @Field(() => Int, { description: 'Attempts that our rules refused.' })
  rejectedRequests!: number;

  @Field(() => Int, { description: 'Attempts that failed.' })
  failedRequests!: number;

  @Field(() => Float, { nullable: true, description: 'Average time of an attempt, in milliseconds.' })
  averageLatencyMs!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: 'Sessions opened, in percent of all attempts; null when there were none.',
  })
  successRate!: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      'Sessions opened, in percent of the attempts that our rules did not refuse; null when there were none.',
  })
  reliabilityRate!: number | null;

  @Field(() => LatencyPercentiles, { nullable: true, description: 'Time of an attempt.' })
  latency!: LatencyPercentiles | null;

  @Field(() => [StageMetrics], { description: 'Time of each step, in order.' })
  stages!: StageMetrics[];

  @Field(() => [OutcomeCount], { description: 'How the attempts ended, the most frequent first.' })
  outcomes!: OutcomeCount[];

  @Field(() => Int, { description: 'Sessions that are live now.' })
  activeSessions!: number;

  @Field(() => CrmMetrics, { description: 'How telling the CRM went.' })
  crm!: CrmMetrics;

  @Field(() => [MetricPoint], {
    description: 'At most 240 stretches of equal length, oldest first; those without attempts are left out.',
  })
  series!: MetricPoint[];
}
