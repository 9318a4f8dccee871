import { Field, ID, Int, ObjectType } from 'type-graphql';
import { UserError } from './session-types.js';

@ObjectType({ description: 'What came of erasing a guest.', simpleResolvers: true })
export class EraseGuestPayload {
  @Field(() => Boolean, {
    description:
      'Whether there was something to erase, and it is gone. False without an error where nothing is known of the guest: ' +
      'nobody has heard of it, or it was erased before. The two cannot be told apart.',
  })
  erased!: boolean;

  @Field(() => ID, { description: 'Names this act in the audit trail: the entry GUEST_ERASED has it.' })
  requestId!: string;

  @Field(() => Int, { description: 'Live sessions that were ended for it, also where it could not be finished.' })
  endedSessions!: number;

  @Field(() => Int, {
    description:
      'Audit entries of this guest from before personal data was sealed. They hold its id in the clear, and cannot be ' +
      'changed without breaking the chain; `npm run audit:archive` moves old entries out.',
  })
  entriesInTheClear!: number;

  @Field(() => [UserError], {
    description: 'Why nothing was erased, and whether to try again; empty when nothing is kept of the guest any more.',
  })
  userErrors!: UserError[];
}
