import { MasterCipher } from './master-cipher.js';

/** Encrypts client tokens, each bound to the request that it was the answer to. */
export class TokenCipher extends MasterCipher {
  /** @param oldKeys decrypt only */
  constructor(encryptionKey: Buffer, oldKeys: readonly Buffer[] = []) {
    super('client tokens', 'a client token', [encryptionKey, ...oldKeys]);
  }
}
