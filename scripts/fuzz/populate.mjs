import { randomUUID } from 'node:crypto';

const AT_ONCE = 8;
const OPEN = `mutation ($input: CreateGuestSessionInput!) { createGuestSession(input: $input) { session { id } userErrors { code } } }`;
const END = `mutation ($id: ID!) { endGuestSession(input: { id: $id, reason: "fuzz" }) { userErrors { code } } }`;

/**
 * Opens sessions and ends some, so that lists are full. @returns {Promise<string[]>} their ids
 *
 * @param {import('./server-under-test.mjs').ServerUnderTest} server
 * @param {number} count
 */
export async function populate(server, count) {
  /** @type {string[]} */
  const ids = [];
  let begun = 0;
  const work = async () => {
    while (begun < count) {
      const index = begun++;
      const input = { guestId: `guest-${randomUUID()}`, deviceFingerprint: `fp-${index}`, crmId: `crm-${index}` };
      const { data, errors } = await server.graphql('BACKEND', OPEN, { input });
      const id = data?.createGuestSession?.session?.id;
      if (!id) throw new Error(`a session could not be opened: ${JSON.stringify(errors ?? data)}`);
      if (index % 3 === 0) await server.graphql('BACKEND', END, { id });
      ids.push(id);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return ids;
}
