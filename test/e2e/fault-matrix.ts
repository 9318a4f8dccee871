import type { ErrorCode, PipelineStage } from '../../src/errors.js';
import type { CxoneSandboxOptions } from '../../src/sandbox/cxone-sandbox.js';
import type { Fault, Scenario } from '../../src/sandbox/faults.js';

/*
 * The fault matrix: every fault of DESIGN §2 at every call to CXone, before and after CXone has done the work, once and for
 * ever where that differs, and what must come of it. What a fault means at a call is written down once, in the tables TOKEN,
 * LIST, POST and DELETE, which are DESIGN's and issue 3's; the cells are made from them.
 */

/** For the cells in which nothing but the timeout ends a call. */
export const TIMEOUT_MS = 500;
const TOO_SLOW_MS = TIMEOUT_MS + 300;

const FAULTS = {
  '429': { kind: 'rate-limit' },
  '429 with Retry-After': { kind: 'rate-limit', retryAfter: '0' },
  '429 for an hour': { kind: 'rate-limit', retryAfter: '3600' },
  '503': { kind: 'rate-limit', status: 503 },
  '503 with Retry-After': { kind: 'rate-limit', status: 503, retryAfter: '0' },
  '503 for an hour': { kind: 'rate-limit', status: 503, retryAfter: '3600' },
  // Most repeat all that they were sent, and what they would have answered.
  '500': { kind: 'echo', status: 500 },
  '502': { kind: 'echo', status: 502, as: 'text' },
  '504': { kind: 'status', status: 504, body: '<html><h1>Gateway timeout</h1></html>' },
  '400': { kind: 'echo', status: 400 },
  '401': { kind: 'echo', status: 401, as: 'text' },
  '403': { kind: 'echo', status: 403, as: 'text' },
  '404': { kind: 'echo', status: 404 },
  outage: { kind: 'outage' },
  reset: { kind: 'reset' },
  slow: { kind: 'slow', delayMs: TOO_SLOW_MS },
  hang: { kind: 'hang' },
  drip: { kind: 'drip', everyMs: 20 },
  malformed: { kind: 'malformed' },
  truncated: { kind: 'truncated' },
  'wrong shape': { kind: 'wrong-shape' },
  oversized: { kind: 'oversized' },
} as const satisfies Record<string, Fault>;
type FaultName = keyof typeof FAULTS;

/** Tenants of CXone differ in what their list tells and in what they let us do. */
export const TENANTS = {
  'that repeats request ids': {},
  'that repeats request ids and tokens': { echoToken: true },
  'that repeats tokens alone': { echoAttributes: false, echoToken: true },
  'that repeats neither': { echoAttributes: false },
  'that cannot list': { canList: false },
  'that cannot end': { canEndSessions: false },
} as const satisfies Record<string, CxoneSandboxOptions>;
type TenantName = keyof typeof TENANTS;

/** CXone has not begun, and asks to wait: a moment, or longer than there is time. */
type Wait = 'wait' | 'an hour';
/** What DESIGN §2 makes of a fault at a call; an error code is the end of it. */
type Meanings<T> = Record<FaultName, T | Wait | 'token refused' | ErrorCode>;

const WAITS = {
  '429': 'wait',
  '429 with Retry-After': 'wait',
  '429 for an hour': 'an hour',
  '503 with Retry-After': 'wait',
  '503 for an hour': 'an hour',
} as const;

const TOKEN: Meanings<never> = {
  ...WAITS,
  '503': 'CXONE_UNAVAILABLE',
  '500': 'CXONE_UNAVAILABLE',
  '502': 'CXONE_UNAVAILABLE',
  '504': 'CXONE_UNAVAILABLE',
  '400': 'CXONE_AUTH_FAILED',
  '401': 'CXONE_AUTH_FAILED',
  '403': 'CXONE_AUTH_FAILED',
  '404': 'CXONE_AUTH_FAILED',
  outage: 'CXONE_UNAVAILABLE',
  reset: 'CXONE_UNAVAILABLE',
  slow: 'CXONE_UNAVAILABLE',
  hang: 'CXONE_UNAVAILABLE',
  drip: 'CXONE_UNAVAILABLE',
  malformed: 'CXONE_CONTRACT_BROKEN',
  truncated: 'CXONE_UNAVAILABLE',
  'wrong shape': 'CXONE_CONTRACT_BROKEN',
  oversized: 'CXONE_UNAVAILABLE',
};

/** Whether we may count is CXone's to say (403, 404); a GET that was cut off is sent again; all else fails closed. */
const LIST: Meanings<'skipped' | 'again'> = {
  ...WAITS,
  '503': 'CXONE_UNAVAILABLE',
  '500': 'CXONE_UNAVAILABLE',
  '502': 'CXONE_UNAVAILABLE',
  '504': 'CXONE_UNAVAILABLE',
  '400': 'CXONE_REJECTED',
  '401': 'token refused',
  '403': 'skipped',
  '404': 'skipped',
  outage: 'again',
  reset: 'again',
  slow: 'CXONE_UNAVAILABLE',
  hang: 'CXONE_UNAVAILABLE',
  drip: 'CXONE_UNAVAILABLE',
  malformed: 'CXONE_CONTRACT_BROKEN',
  truncated: 'again',
  'wrong shape': 'CXONE_CONTRACT_BROKEN',
  oversized: 'again',
};

/** Lost: whether the session was opened is looked up, and never guessed by a second POST. */
const POST: Meanings<'lost'> = {
  ...WAITS,
  '503': 'lost',
  '500': 'lost',
  '502': 'lost',
  '504': 'lost',
  '400': 'CXONE_SCHEMA_REJECTED',
  '401': 'token refused',
  '403': 'CXONE_SCOPE_MISSING',
  '404': 'CXONE_REJECTED',
  outage: 'lost',
  reset: 'lost',
  slow: 'lost',
  hang: 'lost',
  drip: 'lost',
  malformed: 'lost',
  truncated: 'lost',
  'wrong shape': 'lost',
  oversized: 'lost',
};

/** To end a session twice is to end it once: what is lost is sent again, and a 2xx needs no body. */
const DELETE: Meanings<'again' | 'ended' | 'not there'> = {
  ...WAITS,
  '503': 'again',
  '500': 'again',
  '502': 'again',
  '504': 'again',
  '400': 'CXONE_REJECTED',
  '401': 'token refused',
  '403': 'CXONE_SCOPE_MISSING',
  '404': 'not there',
  outage: 'again',
  reset: 'again',
  slow: 'again',
  hang: 'again',
  drip: 'again',
  malformed: 'ended',
  truncated: 'again',
  'wrong shape': 'ended',
  oversized: 'again',
};

type Times = 'once' | 'for ever';
type When = 'before' | 'after';
/** A scenario, for the guest of the cell. */
type Trouble = Omit<Scenario, 'guestId'>;

/** Why there is no session, or why it was not ended. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly stage: PipelineStage;
  readonly retryable: boolean;
  /** `some`: the next wait, below a minute. */
  readonly retryAfter: null | 'some' | 3600;
}

/**
 * What the same request comes to when CXone is well again:
 * - `opens`: nothing was left, and a session is opened;
 * - `adopts`: the session that was left is found with its token, and is the answer;
 * - `replaces`: the session that was left is ended at CXone, and another is opened;
 * - `stays held`: it cannot be known, or not be cleared away, and never is a second one opened beside it.
 */
type Again = 'opens' | 'adopts' | 'replaces' | 'stays held';

/** One request for a session, what it meets, and all that must come of it. */
export interface OpenCell {
  readonly what: string;
  readonly tenant: TenantName;
  readonly meets: readonly Trouble[];
  /** Has no idempotency key: each request is an intent of its own. */
  readonly isKeyless?: boolean;
  /** Whether the server has one when the request comes. With it the cell has the server to itself, and tokens are counted. */
  readonly token?: 'none yet' | 'known';
  /** Null: a session. */
  readonly refusal: Refusal | null;
  /** What arrives at CXone. */
  readonly calls: { readonly token?: number; readonly list: number; readonly create: number };
  /** POSTs as our books have them; those that arrive, by default. */
  readonly posts?: number;
  readonly capacityCheck: 'CHECKED' | 'SKIPPED' | null;
  /** Sessions of the guest that are live at CXone then. */
  readonly live: number;
  /** Whether our books name the session whose token was lost. */
  readonly isFound?: boolean;
  /** After a refusal. */
  readonly again: Again;
  /** Why two sessions of one intent may be live at one time. */
  readonly excuse?: string;
  /** How long a call of it may outlast it: the fetch of a token, which others may be waiting for, has a deadline of its own. */
  readonly outlastedMs?: number;
  /** What it spends of the retry budget. */
  readonly retries: number;
}

/** One order to end a session, what it meets, and all that must come of it. */
export interface EndCell {
  readonly what: string;
  readonly tenant: TenantName;
  readonly meets: readonly Trouble[];
  readonly token?: 'known';
  /** Null: it is ended. */
  readonly refusal: Refusal | null;
  readonly upstreamEnded: boolean;
  /** What arrives at CXone. */
  readonly calls: { readonly token?: number; readonly end: number };
  /** Whether it goes on at CXone. */
  readonly isLive: boolean;
  readonly retries: number;
}

/** CXone has said that it has done nothing, and has to be believed; the next list shows what it has opened all the same. */
const BELIEVED = 'CXone says that it has opened nothing';
const TWO_INTENTS = 'without a key there are two intents';

const refusalAt =
  (stage: PipelineStage) =>
  (code: ErrorCode, retryAfter: Refusal['retryAfter'] = null): Refusal => ({
    code,
    stage,
    retryable: ['RATE_LIMITED', 'CXONE_UNAVAILABLE', 'DEADLINE_EXCEEDED', 'OUTCOME_UNKNOWN'].includes(code),
    retryAfter,
  });

const trouble = (on: Scenario['on'], name: FaultName, when: When, times: Times, skip = 0): Trouble => ({
  on,
  fault: FAULTS[name],
  when,
  ...(times === 'once' && { times: 1 }),
  ...(skip > 0 && { skip }),
});

const names = Object.keys(FAULTS) as FaultName[];
const WHENS = ['before', 'after'] as const;
const TENANT: TenantName = 'that repeats request ids';

const isBetterOnce = (meaning: string): boolean => ['wait', 'again', 'token refused'].includes(meaning);

/** Of the retry budget; a fresh token is not one of its retries. */
const spent = (meaning: string, times: Times): number =>
  ['wait', 'again', 'lost'].includes(meaning) ? (times === 'once' ? 1 : 2) : 0;

/** With a 401 the tokens are counted: one is fetched anew, and no more. */
const withTokens = <C extends object>(meaning: string, calls: C) =>
  meaning === 'token refused' ? ({ token: 'known', calls: { ...calls, token: 1 } } as const) : { calls };

/** Each fault, before and after the work; for ever, and once where that makes a difference. */
function product<T extends string>(
  meanings: Record<FaultName, T>,
  differsOnce: (meaning: T, when: When) => boolean,
): { name: FaultName; meaning: T; when: When; times: Times }[] {
  return names.flatMap((name) =>
    WHENS.flatMap((when) => {
      const meaning = meanings[name];
      const forEver = { name, meaning, when, times: 'for ever' as const };
      return differsOnce(meaning, when) ? [{ ...forEver, times: 'once' as const }, forEver] : [forEver];
    }),
  );
}

export const TOKEN_CELLS: OpenCell[] = product(TOKEN, (meaning) => meaning === 'wait').map(
  ({ name, meaning, when, times }) => {
    const refuse = refusalAt('AUTHENTICATE');
    const cell = {
      what: `token: ${name} ${when} the work, ${times}`,
      tenant: TENANT,
      meets: [trouble('token', name, when, times)],
      token: 'none yet',
      capacityCheck: null,
      live: 0,
      again: 'opens',
      retries: spent(meaning, times),
    } as const;
    if (meaning === 'wait' && times === 'once') {
      const calls = { token: 2, list: 1, create: 1 };
      return { ...cell, refusal: null, calls, capacityCheck: 'CHECKED', live: 1 };
    }
    if (meaning === 'wait') {
      return { ...cell, refusal: refuse('RATE_LIMITED', 'some'), calls: { token: 3, list: 0, create: 0 } };
    }
    const refusal = meaning === 'an hour' ? refuse('RATE_LIMITED', 3600) : refuse(meaning as ErrorCode);
    return { ...cell, refusal, calls: { token: 1, list: 0, create: 0 } };
  },
);

/** What comes of a list call: how many GETs, and how it ends. */
function listing(name: FaultName, times: Times) {
  const meaning = LIST[name];
  if (times === 'once' && isBetterOnce(meaning)) return { gets: 2, code: null, retryAfter: null, isSkipped: false };
  switch (meaning) {
    case 'wait':
      return { gets: 3, code: 'RATE_LIMITED', retryAfter: 'some', isSkipped: false } as const;
    case 'an hour':
      return { gets: 1, code: 'RATE_LIMITED', retryAfter: 3600, isSkipped: false } as const;
    case 'again':
      return { gets: 3, code: 'CXONE_UNAVAILABLE', retryAfter: 'some', isSkipped: false } as const;
    case 'token refused':
      return { gets: 2, code: 'CXONE_AUTH_FAILED', retryAfter: null, isSkipped: false } as const;
    case 'skipped':
      return { gets: 1, code: null, retryAfter: null, isSkipped: true } as const;
    default:
      return { gets: 1, code: meaning, retryAfter: null, isSkipped: false } as const;
  }
}

/** A list changes nothing at CXone; before and after the work is the same but for these. */
const ofList = product(LIST, isBetterOnce).filter(
  ({ name, when }) => when === 'before' || name === 'slow' || name === 'truncated',
);

/** The list that the capacity is checked with. */
export const LIST_CELLS: OpenCell[] = ofList.map(({ name, meaning, when, times }) => {
  const { gets, code, retryAfter, isSkipped } = listing(name, times);
  return {
    what: `list: ${name} ${when} the work, ${times}`,
    tenant: TENANT,
    meets: [trouble('list', name, when, times)],
    refusal: code && refusalAt('CAPACITY')(code, retryAfter),
    ...withTokens(meaning, { list: gets, create: code ? 0 : 1 }),
    capacityCheck: code ? null : isSkipped ? 'SKIPPED' : 'CHECKED',
    live: code ? 0 : 1,
    again: 'opens',
    retries: spent(meaning, times),
  };
});

const atCreate = refusalAt('CREATE');

function createCell(name: FaultName, meaning: string, when: When, times: Times): OpenCell {
  const wasDone = when === 'after';
  const cell = {
    what: `create: ${name} ${when} the work, ${times}`,
    tenant: TENANT,
    meets: [trouble('create', name, when, times)],
    refusal: null,
    capacityCheck: 'CHECKED',
    again: 'opens',
    retries: wasDone && meaning === 'lost' ? 1 : spent(meaning, times),
    ...(wasDone && meaning !== 'lost' && { excuse: BELIEVED }),
  } as const;
  /** CXone says no, or not yet, and has to be believed: of so many POSTs it has opened so many sessions all the same. */
  const told = (refusal: Refusal | null, posts: number): OpenCell => {
    const calls = withTokens(meaning, { list: 1, create: posts });
    return { ...cell, refusal, ...calls, live: wasDone ? posts : refusal ? 0 : 1 };
  };
  switch (meaning) {
    case 'wait':
      return times === 'once' ? told(null, 2) : told(atCreate('RATE_LIMITED', 'some'), 3);
    case 'an hour':
      return told(atCreate('RATE_LIMITED', 3600), 1);
    case 'token refused':
      return times === 'once' ? told(null, 2) : told(atCreate('CXONE_AUTH_FAILED'), 2);
    case 'lost':
      if (wasDone) return lostAfterTheWork(cell);
      // Each POST is looked for once.
      if (times === 'once') return { ...cell, calls: { list: 2, create: 2 }, live: 1 };
      return { ...cell, refusal: atCreate('CXONE_UNAVAILABLE', 'some'), calls: { list: 4, create: 3 }, live: 0 };
    default:
      return told(atCreate(meaning as ErrorCode), 1);
  }
}

/** The session is there, and its token is lost. */
const lostAfterTheWork = (cell: Omit<OpenCell, 'calls' | 'live'>): OpenCell => ({
  ...cell,
  refusal: atCreate('OUTCOME_UNKNOWN'),
  calls: { list: 2, create: 1 },
  live: 1,
  isFound: true,
  again: 'replaces',
});

export const CREATE_CELLS: OpenCell[] = product(
  POST,
  (meaning, when) => meaning === 'wait' || meaning === 'token refused' || (meaning === 'lost' && when === 'before'),
)
  // A POST that does its work when it has been given up for lost: see idempotency-late-arrivals.test.ts.
  .filter(({ name, when }) => !(name === 'slow' && when === 'before'))
  .map(({ name, meaning, when, times }) => createCell(name, meaning, when, times));

/** A POST of which no answer came, at the tenants that tell us less, or more. */
export const TENANT_CELLS: OpenCell[] = (Object.keys(TENANTS) as TenantName[])
  .filter((tenant) => tenant !== TENANT)
  .flatMap((tenant) =>
    (['500', 'reset', 'hang', 'truncated', 'malformed', 'wrong shape'] as const).flatMap((name) =>
      WHENS.map((when) => tenantCell(tenant, name, when)),
    ),
  );

function tenantCell(tenant: TenantName, name: FaultName, when: When): OpenCell {
  const cell = {
    what: `create: ${name} ${when} the work, once`,
    tenant,
    meets: [trouble('create', name, when, 'once')],
    refusal: null,
    capacityCheck: tenant === 'that cannot list' ? 'SKIPPED' : 'CHECKED',
    again: 'opens',
    retries: 1,
  } as const;
  if (tenant === 'that cannot list') {
    const live = when === 'after' ? 1 : 0;
    const calls = { list: 2, create: 1 };
    return { ...cell, refusal: atCreate('OUTCOME_UNKNOWN'), calls, live, again: 'stays held' };
  }
  if (when === 'before') return { ...cell, calls: { list: 2, create: 2 }, live: 1 };
  switch (tenant) {
    case 'that repeats request ids and tokens':
    case 'that repeats tokens alone':
      return { ...cell, calls: { list: 2, create: 1 }, live: 1 };
    case 'that cannot end':
      return { ...lostAfterTheWork(cell), again: 'stays held' };
    default:
      return lostAfterTheWork(cell);
  }
}

/** The list that a lost POST is looked up with. */
export const LOOKUP_CELLS: OpenCell[] = product(LIST, isBetterOnce).map(({ name, when, times }) => {
  const { gets, code, retryAfter, isSkipped } = listing(name, times);
  const cell = {
    what: `lookup of a POST that was reset ${when} the work: ${name}, ${times}`,
    tenant: TENANT,
    meets: [trouble('create', 'reset', when, 'once'), trouble('list', name, 'before', times, 1)],
    refusal: null,
    capacityCheck: 'CHECKED',
    again: 'opens',
    retries: 1 + spent(LIST[name], times),
  } as const;
  const list = 1 + gets;
  if (code || isSkipped) {
    const refusal = atCreate('OUTCOME_UNKNOWN', retryAfter);
    const [live, again] = when === 'after' ? ([1, 'replaces'] as const) : ([0, 'opens'] as const);
    return { ...cell, refusal, calls: { list, create: 1 }, live, again };
  }
  if (when === 'after') return { ...lostAfterTheWork(cell), calls: { list, create: 1 } };
  return { ...cell, calls: { list, create: 2 }, live: 1 };
});

/** What was left with its token is found by the retry, where nobody could ask for it at first. */
export const ADOPTION_CELLS: OpenCell[] = (
  ['that repeats request ids and tokens', 'that repeats tokens alone'] as const
).flatMap((tenant) =>
  (['500', '429 for an hour', '403'] as const).map((name) => ({
    what: `lookup of a POST that was reset after the work: ${name}, for ever`,
    tenant,
    meets: [trouble('create', 'reset', 'after', 'once'), trouble('list', name, 'before', 'for ever', 1)],
    refusal: atCreate('OUTCOME_UNKNOWN', name === '429 for an hour' ? 3600 : null),
    calls: { list: 2, create: 1 },
    capacityCheck: 'CHECKED' as const,
    live: 1,
    again: 'adopts' as const,
    retries: 1,
  })),
);

/** Several faults, one after the other. */
export const SEQUENCE_CELLS: OpenCell[] = [
  {
    ...lostAfterTheWork(createCell('reset', 'lost', 'after', 'once')),
    what: 'create: a reset before the work, then one after it',
    meets: [trouble('create', 'reset', 'before', 'once'), trouble('create', 'reset', 'after', 'once')],
    calls: { list: 3, create: 2 },
    retries: 2,
  },
  {
    ...lostAfterTheWork(createCell('reset', 'lost', 'after', 'once')),
    what: 'create: a 429, then a reset after the work',
    meets: [trouble('create', '429', 'before', 'once'), trouble('create', 'reset', 'after', 'once')],
    calls: { list: 2, create: 2 },
    retries: 2,
  },
  {
    ...createCell('400', 'CXONE_SCHEMA_REJECTED', 'before', 'once'),
    what: 'create: a reset before the work, then a 400',
    meets: [trouble('create', 'reset', 'before', 'once'), trouble('create', '400', 'before', 'once')],
    calls: { list: 2, create: 2 },
    retries: 2,
  },
  {
    ...createCell('429 for an hour', 'an hour', 'before', 'once'),
    what: 'create: a hang before the work, then a 429 for an hour',
    meets: [trouble('create', 'hang', 'before', 'once'), trouble('create', '429 for an hour', 'before', 'once')],
    calls: { list: 2, create: 2 },
    retries: 2,
  },
  {
    ...createCell('reset', 'lost', 'before', 'once'),
    what: 'create: a truncated answer before the work, then a 401, then a 429',
    meets: [
      trouble('create', 'truncated', 'before', 'once'),
      trouble('create', '401', 'before', 'once'),
      trouble('create', '429', 'before', 'once'),
    ],
    calls: { list: 2, create: 4 },
    retries: 2,
  },
];

/** Without an idempotency key nobody can ask for a lost answer, and to ask again is another intent. */
export const KEYLESS_CELLS: OpenCell[] = (['500', 'reset', 'truncated', 'malformed'] as const).flatMap((name) => {
  const after = lostAfterTheWork(createCell(name, 'lost', 'after', 'for ever'));
  const refusal = { ...atCreate('OUTCOME_UNKNOWN'), retryable: false };
  const keyless = { isKeyless: true, refusal, again: 'opens', excuse: TWO_INTENTS } as const;
  return [
    { ...after, ...keyless, what: `create without a key: ${name} after the work, for ever` },
    {
      ...after,
      ...keyless,
      what: `create without a key: ${name} before the work, and nobody can look`,
      meets: [trouble('create', name, 'before', 'once'), trouble('list', '500', 'before', 'for ever', 1)],
      live: 0,
      isFound: false,
    },
  ];
});

/** With a deadline that is shorter than the timeout of a call. */
export const DEADLINE_CELLS: OpenCell[] = [
  {
    what: 'token: a hang beyond the deadline',
    tenant: TENANT,
    meets: [trouble('token', 'hang', 'before', 'for ever')],
    token: 'none yet',
    outlastedMs: 300,
    refusal: refusalAt('AUTHENTICATE')('DEADLINE_EXCEEDED'),
    calls: { token: 1, list: 0, create: 0 },
    capacityCheck: null,
    live: 0,
    again: 'opens',
    retries: 0,
  },
  {
    what: 'list: a hang beyond the deadline',
    tenant: TENANT,
    meets: [trouble('list', 'hang', 'before', 'for ever')],
    refusal: refusalAt('CAPACITY')('DEADLINE_EXCEEDED'),
    calls: { list: 1, create: 0 },
    capacityCheck: null,
    live: 0,
    again: 'opens',
    retries: 0,
  },
  ...WHENS.map(
    (when): OpenCell => ({
      ...lostAfterTheWork(createCell('hang', 'lost', 'after', 'for ever')),
      what: `create: a hang ${when} the work beyond the deadline, so that nobody can look`,
      meets: [trouble('create', 'hang', when, 'for ever')],
      calls: { list: 1, create: 1 },
      live: when === 'after' ? 1 : 0,
      isFound: false,
      again: when === 'after' ? 'replaces' : 'opens',
    }),
  ),
];

/** Where nobody listens: nothing is sent, so that nothing can have been done. For a network with a gate. */
export const REFUSED_CELLS: { readonly cell: OpenCell; readonly after: number }[] = (
  [
    ['token', 'AUTHENTICATE', 0],
    ['list', 'CAPACITY', 0],
    ['create', 'CREATE', 1],
  ] as const
).map(([call, stage, after]) => ({
  after,
  cell: {
    what: `${call}: a connection that is refused, for ever`,
    tenant: TENANT,
    meets: [],
    token: call === 'token' ? 'none yet' : 'known',
    refusal: refusalAt(stage)('CXONE_UNAVAILABLE', 'some'),
    calls: { token: 0, list: after, create: 0 },
    posts: call === 'create' ? 3 : 0,
    capacityCheck: call === 'create' ? 'CHECKED' : null,
    live: 0,
    again: 'opens',
    retries: 2,
  },
}));

const atEnd = refusalAt('END');

export const END_CELLS: EndCell[] = product(DELETE, isBetterOnce).map(({ name, meaning, when, times }) => {
  const wasDone = when === 'after';
  const cell = {
    what: `end: ${name} ${when} the work, ${times}`,
    tenant: TENANT,
    meets: [trouble('end', name, when, times)],
    refusal: null,
    upstreamEnded: true,
    isLive: false,
    retries: spent(meaning, times),
  } as const;
  const after = (end: number) => withTokens(meaning, { end });
  const refused = (refusal: Refusal, orders: number): EndCell => {
    // What is slow does its work in the end.
    return { ...cell, refusal, ...after(orders), upstreamEnded: false, isLive: !wasDone && name !== 'slow' };
  };
  if (times === 'once') {
    // The second order is told that there is no such session. Only where the first may have ended it was that our doing.
    return { ...cell, ...after(2), upstreamEnded: meaning === 'again' || !wasDone };
  }
  switch (meaning) {
    case 'wait':
      return refused(atEnd('RATE_LIMITED', 'some'), 3);
    case 'an hour':
      return refused(atEnd('RATE_LIMITED', 3600), 1);
    case 'again':
      return refused(atEnd('CXONE_UNAVAILABLE', 'some'), 3);
    case 'token refused':
      return refused(atEnd('CXONE_AUTH_FAILED'), 2);
    case 'ended':
      return { ...cell, ...after(1), isLive: !wasDone };
    case 'not there':
      return { ...cell, ...after(1), isLive: !wasDone, upstreamEnded: false };
    default:
      return refused(atEnd(meaning), 1);
  }
});

export const OTHER_END_CELLS: EndCell[] = [
  {
    what: 'end: 405, for ever',
    tenant: 'that cannot end',
    meets: [],
    refusal: null,
    upstreamEnded: false,
    calls: { end: 1 },
    isLive: true,
    retries: 0,
  },
];

export const REFUSED_END_CELL: EndCell = {
  what: 'end: a connection that is refused, for ever',
  tenant: TENANT,
  meets: [],
  refusal: atEnd('CXONE_UNAVAILABLE', 'some'),
  token: 'known',
  upstreamEnded: false,
  calls: { token: 0, end: 0 },
  isLive: true,
  retries: 2,
};

export const DEADLINE_END_CELLS: EndCell[] = WHENS.map((when) => ({
  what: `end: a hang ${when} the work beyond the deadline`,
  tenant: TENANT,
  meets: [trouble('end', 'hang', when, 'for ever')],
  refusal: atEnd('DEADLINE_EXCEEDED', 'some'),
  upstreamEnded: false,
  calls: { end: 1 },
  isLive: when === 'before',
  retries: 0,
}));

/** A retry that has to clear away what a lost answer has left, and meets a fault itself. */
export interface ClearCell {
  readonly what: string;
  readonly tenant: TenantName;
  readonly meets: readonly Trouble[];
  /** Null: the retry gets its session. */
  readonly refusal: Refusal | null;
  readonly orders: number;
  /** Whether what was left goes on at CXone after the retry. */
  readonly isLive: boolean;
  /** Whether CXone could be asked what was left. */
  readonly isSettled: boolean;
  readonly retries: number;
}

const atRecognition = refusalAt('RECOGNISE');

export const CLEAR_CELLS: ClearCell[] = [
  ...(['500', '429 for an hour', '400', '401', '403', 'reset', 'hang', 'malformed', 'truncated'] as const).map(
    (name): ClearCell => ({
      what: `a retry that asks what was left: ${name}, for ever`,
      tenant: TENANT,
      meets: [trouble('list', name, 'before', 'for ever')],
      refusal: atRecognition('OUTCOME_UNKNOWN', listing(name, 'for ever').retryAfter),
      orders: 0,
      isLive: true,
      isSettled: false,
      retries: spent(LIST[name], 'for ever'),
    }),
  ),
  ...END_CELLS.filter(({ what }) => /: (500|429|429 for an hour|400|401|403|404|reset|hang|truncated) /.test(what)).map(
    ({ what, meets, refusal, calls, isLive, retries }): ClearCell => ({
      what: `a retry that ends what was left: ${what.slice('end: '.length)}`,
      tenant: TENANT,
      meets,
      // A 404 for what CXone goes on listing is not believed: a session that lives on must not have another beside it.
      refusal: refusal || isLive ? atRecognition('OUTCOME_UNKNOWN', refusal?.retryAfter) : null,
      orders: calls.end,
      isLive,
      isSettled: true,
      retries,
    }),
  ),
];
