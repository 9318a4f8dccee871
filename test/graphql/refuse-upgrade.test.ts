import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { refuseUpgrade } from '../../src/graphql/refuse-upgrade.js';
import { eventually } from '../support/eventually.js';

/** A client that is refused and reads nothing yet, and its connection at the server. */
async function refused(): Promise<{ client: Socket; connection: Socket }> {
  const server = createServer({ allowHalfOpen: true }); // as node:http has them
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.pause();
  client.on('error', () => undefined);
  const [connection] = (await once(server, 'connection')) as [Socket];
  onTestFinished(() => {
    client.destroy();
    connection.destroy();
    server.close();
  });
  refuseUpgrade(connection, { status: 429, code: 'TOO_MANY_SOCKETS', message: 'Too many.' });
  await once(connection, 'finish');
  return { client, connection };
}

it('a client that goes on talking while it is refused hears why all the same', async () => {
  const { client, connection } = await refused();
  client.write('what it would say to the socket');
  // Closed before it is read, the connection would be reset, and the reset may overtake the answer.
  await eventually(() => connection.bytesRead > 0);
  let heard = '';
  client.on('data', (chunk) => {
    heard += String(chunk);
  });
  client.resume();

  await eventually(() => heard.includes('TOO_MANY_SOCKETS'));
  expect(heard).toMatch(/^HTTP\/1\.1 429 /);
});

it('a client that says more than anybody would is cut off at once, and one that keeps the line soon', async () => {
  const [talker, keeper] = [await refused(), await refused()];
  talker.client.write('x'.repeat(1_000_000));

  await eventually(() => talker.connection.destroyed);
  expect(talker.connection.bytesRead).toBeLessThan(1_000_000);
  await eventually(() => keeper.connection.destroyed);
});
