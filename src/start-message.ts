import type { App } from './app.js';

const SEED_INPUT = `{ guestId: "guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c", deviceFingerprint: "fp_9a8b7c6d5e4f3g2h1i0j", crmId: "crm_acct_44920" }`;

/** What a newcomer sees first: where everything is, and a line to paste that opens a session. */
export function startMessage({ url, config, asksForKeys, engine }: App): string {
  const { cxone, crm } = engine.sandbox;
  const query = `mutation { createGuestSession(input: ${SEED_INPUT}) { session { sessionId status } clientToken userErrors { code message } } }`;
  const lines = [
    '',
    `  CXone guest sessions      ${url}/graphql`,
    ...(config.playground ? [`  Playground                ${url}/playground`] : []),
    `  Database                  ${engine.databasePath}`,
    cxone
      ? `  CXone                     the embedded sandbox, ${cxone.url} (set CXONE_BASE_URL for a tenant)`
      : '  CXone                     the tenant of CXONE_BASE_URL',
  ];
  if (!asksForKeys) {
    lines.push(
      '  API keys                  none: open to all on this machine, and to no other (set API_KEYS or API_KEYS_FILE)',
    );
  }
  if (crm) lines.push(`  CRM                       the embedded receiver, ${crm.url}`);
  lines.push(
    '',
    '  Open a session:',
    '',
    `  curl -s ${url}/graphql -H 'content-type: application/json'${asksForKeys ? " -H 'authorization: Bearer YOUR_KEY'" : ''} -d '${JSON.stringify({ query })}'`,
    '',
  );
  return lines.join('\n');
}
