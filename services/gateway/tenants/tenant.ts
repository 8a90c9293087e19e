import { hash, randomBytes } from "node:crypto";
import Type from "typebox";
import { HotUserPolicy } from "../../../shared/domain/hot-user-policy.ts";
import type { RateLimit } from "../../../shared/domain/token-bucket.ts";
import {
  MAX_ATTRIBUTES,
  MAX_EVENT_NAMES,
  MAX_PROPERTIES_PER_EVENT,
  MAX_UPDATES_PER_REQUEST,
} from "../limits.ts";

/** What a tenant may send. What is absent is not limited, but by the gateway's own settings. */
export const Quotas = Type.Object(
  {
    updatesPerSecond: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 10_000_000, description: "through all gateways together" }),
    ),
    burst: Type.Optional(
      Type.Integer({
        minimum: MAX_UPDATES_PER_REQUEST,
        maximum: 100_000_000,
        description:
          "updates at once after a rest; by default what comes in 2 s, or one full request where that is more",
      }),
    ),
    bulkPercent: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        description:
          "of updatesPerSecond, what bulk updates may take, 50 by default, so that live ones have the rest",
      }),
    ),
    maxUpdateBytes: Type.Optional(
      Type.Integer({ minimum: 256, maximum: 1_048_576, description: "of one update as JSON" }),
    ),
    hotUsers: Type.Optional(HotUserPolicy),
    maxLinksPerUser: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 10_000,
        description: "records that aliases link to one user; 100 by default",
      }),
    ),
    maxAttributes: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MAX_ATTRIBUTES, description: "in the tenant's schema" }),
    ),
    maxEventNames: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_EVENT_NAMES,
        description: "in the tenant's schema; those of the gateway's own don't count",
      }),
    ),
    maxPropertiesPerEvent: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_PROPERTIES_PER_EVENT,
        description: "of each event in the tenant's schema",
      }),
    ),
  },
  { additionalProperties: false },
);
export type Quotas = Type.Static<typeof Quotas>;

/** Of one user, without a quota. */
export const DEFAULT_LINKS_PER_USER = 100;

/** Basic authentication splits at the first colon. */
export const WriteKeyText = Type.String({
  pattern: "^[\\u0021-\\u0039\\u003b-\\u007e]{16,128}$",
  description: "16 to 128 printable ASCII characters without spaces and colons",
});

/** Of a tenant: enough to move every kind of client by itself. */
export const MAX_WRITE_KEYS = 16;

/** What an operator says of a tenant. */
export const TenantInput = Type.Object(
  {
    writeKeys: Type.Optional(
      Type.Array(WriteKeyText, {
        maxItems: MAX_WRITE_KEYS,
        description: "all of them; absent: those that there are stay",
      }),
    ),
    quotas: Type.Optional(Quotas),
    version: Type.Optional(
      Type.Integer({
        ...{ minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
        description:
          "which these settings were made of, 0 for none; where it is another by now they are refused",
      }),
    ),
  },
  { additionalProperties: false },
);
export type TenantInput = Type.Static<typeof TenantInput>;

/** As it is kept: of a write key nobody can make the key again. */
export type WriteKey = {
  /** By which operators name it: the first characters of its hash. */
  id: string;
  /** SHA-256, hexadecimal. A key is random and long, so that a slow hash would protect nothing. */
  hash: string;
  addedAtMs: number;
};

export type Tenant = {
  name: string;
  writeKeys: readonly WriteKey[];
  quotas: Quotas;
};

/** With the version of its document. */
export type StoredTenant = Tenant & { version: number };

/** The document of a tenant in the store. */
export type TenantDocument = { writeKeys: readonly WriteKey[]; quotas: Quotas } | { deleted: true };

const ID_LENGTH = 12;

export function hashOf(key: string): string {
  return hash("sha256", key, "hex");
}

export function writeKeyOf(key: string, nowMs: number): WriteKey {
  const digest = hashOf(key);
  return { id: digest.slice(0, ID_LENGTH), hash: digest, addedAtMs: nowMs };
}

/** A new key, to be shown once. */
export function generateKey(): string {
  return randomBytes(24).toString("base64url");
}

/** The settings after what an operator said; keys that stay keep when they were added. */
export function changedTenant(
  before: Pick<Tenant, "writeKeys" | "quotas"> | undefined,
  { writeKeys, quotas }: Omit<TenantInput, "version">,
  nowMs: number,
): Pick<Tenant, "writeKeys" | "quotas"> {
  const known = new Map(before?.writeKeys.map((each) => [each.hash, each]));
  const keys = writeKeys?.map((key) => known.get(hashOf(key)) ?? writeKeyOf(key, nowMs));
  return {
    writeKeys: keys
      ? [...new Map(keys.map((each) => [each.hash, each])).values()]
      : (before?.writeKeys ?? []),
    quotas: quotas ?? before?.quotas ?? {},
  };
}

export function bulkPercentOf({ bulkPercent = 50 }: Quotas): number {
  return bulkPercent;
}

/** Of the tenant's rate, bulk updates' part. */
export function bulkRateOf(quotas: Quotas, { perSecond, burst }: RateLimit): RateLimit {
  const share = bulkPercentOf(quotas) / 100;
  return {
    perSecond: Math.max(1, perSecond * share),
    burst: Math.max(MAX_UPDATES_PER_REQUEST, Math.floor(burst * share)),
  };
}

/** How fast a tenant's bucket fills, and how much it holds: one full request at least, which would never be taken else. */
export function rateOf({ updatesPerSecond, burst }: Quotas): RateLimit | undefined {
  if (updatesPerSecond === undefined) return undefined;
  return {
    perSecond: updatesPerSecond,
    burst: Math.max(MAX_UPDATES_PER_REQUEST, burst ?? 2 * updatesPerSecond),
  };
}
