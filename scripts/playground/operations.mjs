// The tabs that a new visitor finds open: one operation for each job. A tab is called after its operation.
// A test validates them all against schema.graphql.

/** The guest and the device of the example that the project started from. */
const example = {
  guestId: 'guest-8f4a2b1c-9d3e-4f5a-b6c7-8d9e0f1a2b3c',
  deviceFingerprint: 'fp_9a8b7c6d5e4f3g2h1i0j',
  crmId: 'crm_acct_44920',
};

const openSession = (name, purpose) => `${purpose}
mutation ${name}($input: CreateGuestSessionInput!) {
  createGuestSession(input: $input) {
    requestId
    clientToken
    eventCursor
    replayed
    session {
      id
      sessionId
      status
      expiresAt
      crmSync
    }
    userErrors {
      code
      message
      field
      stage
      retryable
      retryAfterSeconds
    }
  }
}
`;

/** @type {{ query: string, variables: Record<string, unknown> }[]} */
export const operations = [
  {
    query: openSession(
      'OpenSession',
      `# Open a session. Ctrl-Enter or the button runs it.
# A chat widget needs the sessionId and clientToken.
# What was decided against you is in userErrors.`,
    ),
    variables: { input: { ...example, ipMetadata: { isProxy: false, country: 'US' } } },
  },
  {
    query: openSession(
      'OpenRefused',
      `# A refused one: the same guest, through a proxy.
# That adds 20 to the risk score, so that it passes
# the threshold. CXone is not even asked.`,
    ),
    variables: { input: { ...example, ipMetadata: { isProxy: true, country: 'US' } } },
  },
  {
    query: openSession(
      'OpenWithKey',
      `# One intent, one session, however often it is sent:
# run it twice, and the second answer is the first
# again, with "replayed": true. A new intent has a new
# key.`,
    ),
    variables: { input: { ...example, idempotencyKey: 'my-first-intent' } },
  },
  {
    query: `# End a session, at CXone and here: put the sessionId
# of an answer into the variables. Doing it twice
# changes nothing.
mutation EndSession($input: EndGuestSessionInput!) {
  endGuestSession(input: $input) {
    session {
      id
      sessionId
      status
      endedAt
    }
    upstreamEnded
    userErrors {
      code
      message
      field
      stage
      retryable
      retryAfterSeconds
    }
  }
}
`,
    variables: { input: { sessionId: 'cxs_…', reason: 'the guest closed the window' } },
  },
  {
    query: `# Watch sessions, live: run this, then open one in a
# second window (to leave this tab ends it). To catch
# up, give the eventCursor of an answer as "after".
subscription WatchSessions($after: String, $types: [SessionEventType!], $guestId: String) {
  sessionEvents(after: $after, types: $types, guestId: $guestId) {
    cursor
    type
    occurredAt
    requestId
    guestId
    crmId
    sessionId
    status
    reason
  }
}
`,
    variables: {},
  },
  {
    query: `# The sessions, newest first. For the next page,
# give pageInfo.endCursor as "after".
query ListSessions($filter: SessionFilter, $first: Int, $after: String) {
  sessions(filter: $filter, first: $first, after: $after) {
    nodes {
      id
      sessionId
      guestId
      crmId
      channel
      status
      createdAt
      expiresAt
      attempts
      crmSync
      fraudScore
      failureCode
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
    variables: { first: 20 },
  },
  {
    query: `# The audit trail, newest first. Every entry holds
# the hash of the one before it.
query ReadAudits($filter: AuditFilter, $first: Int, $after: String) {
  audits(filter: $filter, first: $first, after: $after) {
    edges {
      cursor
      node {
        sequence
        timestamp
        requestId
        kind
        status
        reason
        errorCode
        guestId
        sessionId
        actor
        durationMs
        fraudScore
        attempts
        capacityCheck
        crmSynced
        previousHash
        hash
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
    variables: { first: 20 },
  },
  {
    query: `# How it went; "from" and "to" are ISO 8601 times.
# reliabilityRate leaves out what was refused.
query Metrics($from: DateTime, $to: DateTime) {
  metrics(from: $from, to: $to) {
    totalRequests
    successfulRequests
    rejectedRequests
    failedRequests
    averageLatencyMs
    successRate
    reliabilityRate
    activeSessions
  }
}
`,
    variables: {},
  },
  {
    query: `# What happened, oldest first: the events of the
# subscription, to be read page by page.
query ReadEvents($after: String, $first: Int, $types: [SessionEventType!], $guestId: String) {
  events(after: $after, first: $first, types: $types, guestId: $guestId) {
    edges {
      cursor
      node {
        type
        occurredAt
        requestId
        guestId
        sessionId
        status
        reason
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
    variables: { first: 100 },
  },
  {
    query: `# What the CRM was told, and what it has not taken:
# { "status": "DEAD" } for what was given up.
query ListWebhooks($first: Int, $filter: WebhookDeliveryFilter) {
  webhookEndpoint {
    status
    failingSince
    disabledReason
  }
  webhookDeliveries(first: $first, filter: $filter) {
    nodes {
      id
      eventType
      status
      createdAt
      attempts
      nextAttemptAt
      lastError
      tries {
        number
        startedAt
        durationMs
        statusCode
        error
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
    variables: { first: 20 },
  },
  {
    query: `# Send again what was given up since a time, or
# { "status": "PENDING" }: try now what waits.
mutation ReplayWebhooks($since: DateTime!, $status: WebhookDeliveryStatus) {
  resumeWebhookEndpoint {
    revived
    userErrors {
      code
      message
    }
  }
  replayWebhookDeliveries(since: $since, status: $status) {
    replayed
    userErrors {
      code
      message
    }
  }
}
`,
    variables: { since: '2026-01-01T00:00:00Z', status: 'DEAD' },
  },
  {
    query: `# Forget who a guest is, for good: its sessions end,
# and what identifies it is erased. What happened
# stays, and belongs to nobody.
mutation EraseGuest($guestId: String!) {
  eraseGuest(guestId: $guestId) {
    erased
    requestId
    endedSessions
    entriesInTheClear
    userErrors {
      code
      message
      field
      stage
      retryable
      retryAfterSeconds
    }
  }
}
`,
    variables: { guestId: example.guestId },
  },
  {
    query: `# Prove that nobody changed the audit trail: every
# hash is computed again, and every signed
# checkpoint is checked. "from" and "to" are
# sequence numbers; without them, it is all checked.
query VerifyAuditTrail($from: Int, $to: Int) {
  verifyAuditTrail(from: $from, to: $to) {
    ok
    checked
    firstBrokenSequence
    reason
    head
    checkpoints
    lastCheckpoint
  }
}
`,
    variables: {},
  },
];
