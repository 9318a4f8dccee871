import { describe, expect, it } from 'vitest';
import { resumableSessionEvents } from '../../src/client/resumable-session-events.js';
import { EventServer } from '../support/event-server.js';
import { eventually } from '../support/eventually.js';

/** A server whose events pass no filter, and a mark that its clients have answered. */
async function startQuietServer() {
  const server = await EventServer.start();
  server.onSubscribe = () => undefined;
  const mark = async (number: number) => {
    const expected = server.pongs + server.openSockets;
    server.mark(number);
    await eventually(() => server.pongs === expected);
  };
  /** Cuts the connections, and waits for so many subscriptions. @returns where they begin */
  const cut = async (subscriptions: number) => {
    const before = server.subscriptions.length;
    server.cut();
    await eventually(() => server.subscriptions.length === before + subscriptions);
    return server.subscriptions.slice(before).map(({ variables }) => variables.after);
  };
  return { server, mark, cut };
}

describe('where a stream goes on', () => {
  it('moves on with the marks of the server, but for the first, which may be older than the subscription', async () => {
    const { server, mark, cut } = await startQuietServer();
    const events = resumableSessionEvents(server.client(), { after: '3', types: ['SESSION_FAILED'] });
    await eventually(() => server.live.length === 1);

    await mark(5);
    expect(await cut(1)).toEqual(['3']);
    await mark(6);
    await mark(7);
    expect(await cut(1)).toEqual(['7']);
    expect(server.subscriptions.at(-1)?.variables).toEqual({ after: '7', types: ['SESSION_FAILED'] });
    await events.return?.();
  });

  it('moves on with the first mark after an event', async () => {
    const { server, mark, cut } = await startQuietServer();
    const events = resumableSessionEvents(server.client(), { after: '3' });
    await eventually(() => server.live.length === 1);

    server.send(server.live[0]!, 4);
    await mark(8);
    expect(await cut(1)).toEqual(['8']);
    expect((await events.next()).value).toMatchObject({ cursor: '4' });
    await events.return?.();
  });

  it('does not move while there is no subscription, whatever others have on the connection', async () => {
    const { server, mark, cut } = await startQuietServer();
    const client = server.client();
    const quiet = resumableSessionEvents(client, { after: '0' });
    const slow = resumableSessionEvents(client, { after: '0', maxBufferedEvents: 2 });
    await eventually(() => server.live.length === 2);
    for (const number of [1, 2, 3]) server.send(server.live[1]!, number); // two are taken, the third is dropped
    await eventually(() => server.live.length === 1);
    await mark(3);
    await mark(4);

    await slow.next();
    await slow.next();
    await eventually(() => server.live.length === 2);
    expect(server.subscriptions.at(-1)?.variables.after).toBe('2');
    expect((await cut(2)).sort()).toEqual(['2', '4']);
    await Promise.all([quiet.return?.(), slow.return?.()]);
  });
});

describe('onProgress', () => {
  it('tells where the stream begins, then each mark when all before it is done with', async () => {
    const { server, mark } = await startQuietServer();
    server.ack = { eventCursor: '3' };
    const told: string[] = [];
    const events = resumableSessionEvents(server.client(), { onProgress: (cursor) => told.push(cursor) });
    await eventually(() => server.live.length === 1);
    const [subscription] = server.live;
    expect(told).toEqual([]); // nobody waits yet
    const first = events.next();
    expect(told).toEqual(['3']);
    server.send(subscription!, 4);
    await first;

    // The consumer is still at work on 4.
    await mark(6);
    expect(told).toEqual(['3']);
    const second = events.next();
    expect(told).toEqual(['3', '6']);
    await mark(6);
    await mark(7);
    expect(told).toEqual(['3', '6', '7']);

    server.send(subscription!, 8);
    server.send(subscription!, 9);
    await mark(10);
    await second;
    await events.next();
    expect(told).toEqual(['3', '6', '7']);
    void events.next();
    expect(told).toEqual(['3', '6', '7', '10']);
    await events.return?.();
  });

  it('leaves a mark out that an event has overtaken', async () => {
    const { server, mark } = await startQuietServer();
    const told: string[] = [];
    const events = resumableSessionEvents(server.client(), { after: '0', onProgress: (cursor) => told.push(cursor) });
    await eventually(() => server.live.length === 1);
    server.send(server.live[0]!, 1);
    await mark(2);
    server.send(server.live[0]!, 3);
    await mark(3);

    await events.next();
    await events.next();
    void events.next();
    expect(told).toEqual([]);
    await events.return?.();
  });
});
