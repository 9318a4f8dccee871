import type { IncomingMessage } from 'node:http';

/** Whether it is from a page of this server, and no other site's. Programs send no `Origin`: they are no pages of others. */
export function isSameOrigin({ headers: { origin, host } }: Pick<IncomingMessage, 'headers'>): boolean {
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
