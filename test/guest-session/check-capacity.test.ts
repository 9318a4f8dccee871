import { array, assert, boolean, integer, property, shuffledSubarray } from 'fast-check';
import { expect, test } from 'vitest';
import { AttemptError } from '../../src/errors.js';
import { checkCapacity } from '../../src/guest-session/check-capacity.js';

type UpstreamSession = Parameters<typeof checkCapacity>[1][number];
type HeldPlace = Parameters<typeof checkCapacity>[2][number];

const CAP = 5;
const ME: HeldPlace = { requestId: 'me', sessionId: null };

test('the last free place is given, and none after it', () => {
  expect(passes(foreign(4), [ME])).toBe(true);
  expect(passes(foreign(5), [ME])).toBe(false);
  expect(passes(foreign(6), [ME])).toBe(false);
});

test('a refusal says to operations what is taken, and to the public that it may try again', () => {
  const error = refusalOf(foreign(5), [ME]);
  expect(error).toMatchObject({ code: 'CAPACITY_EXCEEDED', status: 'REJECTED', retryable: true });
  expect(error?.detail).toBe('5 of 5 places are taken (5 live at CXone)');
});

test('a session in both books is one session', () => {
  expect(passes(foreign(4), [...live(4, 'f'), ME])).toBe(true);
  expect(passes(foreign(5), [...live(5, 'f'), ME])).toBe(false);
});

test('a session in one book alone counts as well', () => {
  expect(passes([], [...live(4), ME])).toBe(true);
  expect(passes([], [...live(5), ME])).toBe(false);
  expect(passes(foreign(2), [...live(2), ME])).toBe(true);
  expect(passes(foreign(3), [...live(2), ME])).toBe(false);
});

test('of the attempts in flight the earlier ones count, the later ones count us', () => {
  expect(passes([], [...inFlight(4), ME, ...inFlight(40, 'later')])).toBe(true);
  expect(passes([], [...inFlight(5), ME])).toBe(false);
});

test('a later attempt that is through counts like any session', () => {
  expect(passes([], [...inFlight(2), ME, ...live(2)])).toBe(true);
  expect(passes([], [...inFlight(2), ME, ...live(3)])).toBe(false);
});

test('a session of an attempt in flight, which CXone names by its request id, is counted once', () => {
  const named = inFlight(4).map(({ requestId }, index) => ({ sessionId: `n${index}`, requestId }));
  expect(passes(named, [...inFlight(4), ME])).toBe(true);
  expect(passes([...named, ...foreign(1)], [...inFlight(4), ME])).toBe(false);
});

test('a session named by a request id that we do not know is not ours, and counts', () => {
  const others = foreign(5).map((session, index) => ({ ...session, requestId: `theirs-${index}` }));
  expect(passes(others, [...inFlight(4, 'later'), ME])).toBe(false);
  expect(passes(others.slice(1), [ME, ...inFlight(4, 'later')])).toBe(true);
});

test('a session without a name is never put down to an attempt in flight: the cap would be exceeded where it is not one', () => {
  expect(passes(foreign(4), [ME, ...inFlight(1, 'later')])).toBe(true);
  expect(passes(foreign(4), [...inFlight(1), ME])).toBe(false);
  expect(passes(foreign(5), [ME, ...inFlight(4, 'later')])).toBe(false);
});

test('of k requests in flight and f foreign sessions exactly min(k, max(0, cap − f)) pass, in whatever order they ask', () => {
  const scenario = integer({ min: 1, max: 12 }).chain((k) => {
    const order = shuffledSubarray([...Array(k).keys()], { minLength: k, maxLength: k });
    return order.map((turns) => ({ k, turns }));
  });
  void assert(
    property(
      scenario,
      integer({ min: 0, max: 8 }),
      integer({ min: 1, max: 8 }),
      array(boolean(), { minLength: 12, maxLength: 12 }),
      boolean(),
      ({ k, turns }, f, cap, closesAtOnce, namesForeign) => {
        const foreignSessions = foreign(f).map((session) => ({
          ...session,
          requestId: namesForeign ? 'theirs' : null,
        }));
        const atCxone: UpstreamSession[] = [...foreignSessions];
        let held = inFlight(k);
        let passed = 0;
        for (const turn of turns) {
          const requestId = `flight-${turn}`;
          if (refusalOf(atCxone, held, cap, requestId)) {
            held = held.filter((place) => place.requestId !== requestId);
            continue;
          }
          passed += 1;
          const sessionId = `opened-${turn}`;
          atCxone.push({ sessionId, requestId });
          // Closed in the books before the next one asks, or still in flight.
          if (closesAtOnce[turn])
            held = held.map((place) => (place.requestId === requestId ? { requestId, sessionId } : place));
        }
        expect(passed).toBe(Math.min(k, Math.max(0, cap - f)));
      },
    ),
  );
});

function foreign(count: number): UpstreamSession[] {
  return Array.from({ length: count }, (_, index) => ({ sessionId: `f-${index}`, requestId: null }));
}

function live(count: number, prefix = 'live'): HeldPlace[] {
  return Array.from({ length: count }, (_, index) => ({
    requestId: `${prefix}-r${index}`,
    sessionId: `${prefix}-${index}`,
  }));
}

function inFlight(count: number, prefix = 'flight'): HeldPlace[] {
  return Array.from({ length: count }, (_, index) => ({ requestId: `${prefix}-${index}`, sessionId: null }));
}

function refusalOf(upstream: UpstreamSession[], held: HeldPlace[], cap = CAP, requestId = 'me'): AttemptError | null {
  try {
    checkCapacity(requestId, upstream, held, cap);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(AttemptError);
    return error as AttemptError;
  }
}

const passes = (upstream: UpstreamSession[], held: HeldPlace[]): boolean => refusalOf(upstream, held) === null;
