import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CompactSign, exportJWK, generateKeyPair, type JWK } from 'jose';
import type { PublicJwk } from '../../src/token-formats.js';

export const ISSUER = 'https://issuer.example.com';
export const AUDIENCE = 'guest-sessions';

/** What an issuer signs with, and what it tells of that. */
export interface IssuerKey {
  readonly alg: string;
  readonly privateKey: Parameters<CompactSign['sign']>[0];
  readonly publicJwk: PublicJwk;
}

/** A key with a name: by default that of its algorithm. */
export async function makeIssuerKey(alg: string, kid = alg): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg } as PublicJwk };
}

/** Seconds since 1970, so many milliseconds from now. */
export const secondsIn = (ms: number): number => (Date.now() + ms) / 1000;

/** A token that is good, but for what is said here. A claim that is undefined is not there. */
export function tokenBy(key: IssuerKey, claims: object = {}, header: object = {}): Promise<string> {
  const usual = { iss: ISSUER, aud: AUDIENCE, sub: 'alice', role: 'CRM', exp: secondsIn(60_000) };
  return signed(key, JSON.stringify({ ...usual, ...claims }), header);
}

/** Any text, signed. */
export const signed = ({ alg, privateKey, publicJwk }: IssuerKey, payload: string, header: object = {}) =>
  new CompactSign(new TextEncoder().encode(payload))
    .setProtectedHeader({ alg, kid: publicJwk.kid ?? '', ...header })
    .sign(privateKey);

/** The place on the web where an issuer has its keys: it can be down, or answer something else. */
export class KeySetServer implements AsyncDisposable {
  readonly #server: Server;
  keys: readonly JWK[];
  requests = 0;
  /** What it does instead of giving its keys. */
  instead: ((response: ServerResponse) => void) | null = null;

  private constructor(keys: readonly IssuerKey[]) {
    this.keys = keys.map(({ publicJwk }) => publicJwk);
    this.#server = createServer((_request, response) => {
      this.requests += 1;
      if (this.instead) this.instead(response);
      else this.answer(response);
    });
  }

  static async start(...keys: IssuerKey[]): Promise<KeySetServer> {
    const server = new KeySetServer(keys);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks`;
  }

  answer(response: ServerResponse): void {
    response.setHeader('content-type', 'application/jwk-set+json').end(JSON.stringify({ keys: this.keys }));
  }

  /** Cuts every connection. */
  goDown(): void {
    this.instead = (response) => response.destroy();
  }

  comeUp(): void {
    this.instead = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
