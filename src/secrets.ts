import type { KeyObject } from 'node:crypto';
import { inspect } from 'node:util';

interface SecretValues {
  readonly cxoneClientSecret: string;
  /** Standard Webhooks secrets (`whsec_…`), the newest first. */
  readonly crmWebhookSecrets: readonly string[];
  /** 32 bytes; null: generated beside the database (sandbox mode alone). */
  readonly encryptionKey: Buffer | null;
  /** Keys that were used before it: they still decrypt. */
  readonly encryptionKeysOld: readonly Buffer[];
  /** Ed25519; null: generated beside the database in sandbox mode, none otherwise. */
  readonly auditSigningKey: KeyObject | null;
}

/** What must never print: the fields are hidden from JSON and from `console.log`. */
export class Secrets {
  // Private to the running program, not to the compiler alone: no copy, clone or inspection of this object has them.
  readonly #values: SecretValues;

  constructor(values: SecretValues) {
    this.#values = values;
  }

  get cxoneClientSecret(): string {
    return this.#values.cxoneClientSecret;
  }
  get crmWebhookSecrets(): readonly string[] {
    return this.#values.crmWebhookSecrets;
  }
  get encryptionKey(): Buffer | null {
    return this.#values.encryptionKey;
  }
  get encryptionKeysOld(): readonly Buffer[] {
    return this.#values.encryptionKeysOld;
  }
  get auditSigningKey(): KeyObject | null {
    return this.#values.auditSigningKey;
  }
  toJSON(): string {
    return '[secrets]';
  }
  [inspect.custom](): string {
    return '[secrets]';
  }
}
