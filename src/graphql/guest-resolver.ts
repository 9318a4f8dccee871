import { Arg, Ctx, Mutation, Resolver } from 'type-graphql';
import type { GraphqlContext } from './context.js';
import { Authorized } from './field-roles.js';
import { EraseGuestPayload } from './guest-types.js';
import { toErasePayload } from './mutation-payloads.js';

@Resolver()
export class GuestResolver {
  @Authorized('OPS')
  @Mutation(() => EraseGuestPayload, {
    description:
      'Forgets who a guest is, for good: its live sessions are ended, at CXone and here, and the key that all is sealed under ' +
      'which identifies it is destroyed. What happened stays, and belongs to nobody. As long as something cannot be ended, or is ' +
      'being opened, nothing is erased. To do it again changes nothing.',
  })
  async eraseGuest(
    @Arg('guestId', () => String, { description: 'Whom to forget.' }) guestId: string,
    @Ctx() { services, caller }: GraphqlContext,
  ) {
    return toErasePayload(await services.erase(guestId, caller));
  }
}
