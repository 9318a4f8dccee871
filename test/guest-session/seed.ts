/** The seed example of the domain, without the weight of a whole network. */
export const SEED = {
  guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
  deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j',
  crmId: 'crm_acct_44920',
  ipMetadata: { isProxy: false, country: 'US' },
} as const;
