/** Where a user's profile and links, an audience's members and a token bucket are stored. */
import type { AudienceVersion } from "../../ports/member-store.ts";
import type { UserKey } from "../../ports/profile-store.ts";
import { KeylineError } from "../../runtime/errors.ts";

/**
 * `kl:{shop:42}`: the hash tag is the whole user, so that everything about a user stays on one server of a
 * cluster. Two users never share a key: what would end the tag or the tenant early is percent-encoded, and so
 * are lone surrogates, which UTF-8 cannot tell apart.
 */
export function profileKey(keyPrefix: string, user: UserKey): string {
  return `${keyPrefix}{${escapeText(user.tenant, tenantSpecial)}:${escapeText(user.userId, special)}}`;
}

/** `kl:{shop:42}:links`, on the server of the profile. */
export function linksKey(keyPrefix: string, user: UserKey): string {
  return `${profileKey(keyPrefix, user)}:links`;
}

/**
 * The hash tag of a shard of an audience's members, `{shop:regulars:3:7}`. Keys with it have a name behind it, so that
 * none is a profile's.
 */
export function memberTag({ tenant, audience, version }: AudienceVersion, shard: number): string {
  return `{${escapeText(tenant, tenantSpecial)}:${escapeText(audience, tenantSpecial)}:${version}:${shard}}`;
}

/** `kl:{rate-shop%3aupdates}`: no colon stays in a bucket's name, so that its key is no profile's. */
export function rateKey(keyPrefix: string, bucket: string): string {
  return `${keyPrefix}{rate-${escapeText(bucket, tenantSpecial)}}`;
}

/** @throws KeylineError `bad_key_prefix`: a brace in it would become the hash tag of every key. */
export function assertKeyPrefix(keyPrefix: string): void {
  if (!/[{}]/.test(keyPrefix)) return;
  const text = `a key prefix has no braces: ${JSON.stringify(keyPrefix)}`;
  throw new KeylineError("bad_key_prefix", text, { value: keyPrefix });
}

const special = /[%{}]|\p{Surrogate}/gu;
const tenantSpecial = /[%{}:]|\p{Surrogate}/gu;

function escapeText(text: string, characters: RegExp): string {
  if (text.search(characters) < 0) return text;
  return text.replace(characters, (character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
