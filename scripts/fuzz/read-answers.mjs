/**
 * What a server has said on one connection: the status of each HTTP answer, and, where it switched to WebSocket, the code of
 * the close.
 *
 * @param {Buffer} bytes
 * @returns {{ statuses: number[], closeCode: number | null, text: string }}
 */
export function readAnswers(bytes) {
  const text = bytes.toString('latin1');
  /** @type {number[]} */
  const statuses = [];
  let at = 0;
  while (at < text.length) {
    const head = /^HTTP\/1\.1 (\d{3})[^\r\n]*\r\n([\s\S]*?)\r\n\r\n/.exec(text.slice(at, at + 20_000));
    if (!head) break;
    const status = Number(head[1]);
    statuses.push(status);
    at += head[0].length;
    if (status === 101) return { statuses, closeCode: closeCodeOf(bytes.subarray(at)), text };
    at += Number(/^content-length: *(\d+)/im.exec(head[2])?.[1] ?? 0);
  }
  return { statuses, closeCode: null, text };
}

/** Of the frames of a server, which are never masked, nor in parts. */
function closeCodeOf(bytes) {
  let at = 0;
  while (at + 2 <= bytes.length) {
    const form = bytes[at + 1];
    const [length, head] =
      form < 126
        ? [form, 2]
        : form === 126
          ? [bytes.readUInt16BE(at + 2), 4]
          : [Number(bytes.readBigUInt64BE(at + 2)), 10];
    if ((bytes[at] & 0x0f) === 8 && length >= 2) return bytes.readUInt16BE(at + head);
    at += head + length;
  }
  return null;
}
