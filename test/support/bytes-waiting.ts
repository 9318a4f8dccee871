import { Socket } from 'node:net';

/** What a server of this process holds for each of its sockets, in bytes. */
export function bytesWaiting(port: number): number[] {
  const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
  const sockets = handles.filter((handle) => handle instanceof Socket && handle.localPort === port) as Socket[];
  return sockets.map((socket) => socket.writableLength);
}
