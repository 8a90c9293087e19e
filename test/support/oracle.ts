/**
 * The oracle: what a user's profile must be, computed the plain way. Take the distinct updates, sort them by
 * stamp, fold them one by one. Written from the documentation alone, it shares no code with `apply`.
 */
import type { Update } from "../../shared/domain/envelope.ts";

export type ExpectedProfile = {
  attributes: Record<string, unknown>;
  events: Record<string, { count: number; firstAt: number; lastAt: number }>;
  updates: number;
};

export function expectedProfile(delivered: readonly Update[]): ExpectedProfile {
  const distinct = [...new Map(delivered.map((update) => [`${update.src} ${update.seq}`, update])).values()];
  distinct.sort((a, b) => a.stamp - b.stamp || (a.src < b.src ? -1 : a.src > b.src ? 1 : a.seq - b.seq));
  const registers = new Map<string, unknown>();
  const sets = new Map<string, Set<string>>();
  const counters = new Map<string, bigint>();
  const events = new Map<string, { count: number; firstAt: number; lastAt: number }>();
  for (const update of distinct) {
    for (const { kind, body } of update.ops) {
      if (kind === "set") for (const [field, value] of Object.entries(body)) registers.set(field, value);
      if (kind === "unset") for (const field of body) registers.delete(field);
      if (kind === "add")
        for (const [field, members] of Object.entries(body))
          sets.set(
            field,
            (sets.get(field) ?? new Set()).union(new Set(members.map((m) => JSON.stringify(m)))),
          );
      if (kind === "remove")
        for (const [field, members] of Object.entries(body))
          for (const member of members) sets.get(field)?.delete(JSON.stringify(member));
      if (kind === "increment")
        for (const [field, amount] of Object.entries(body))
          counters.set(field, (counters.get(field) ?? 0n) + scaled(amount));
      if (kind === "event") {
        const { count, firstAt, lastAt } = events.get(body.name) ?? {
          count: 0,
          firstAt: Number.POSITIVE_INFINITY,
          lastAt: Number.NEGATIVE_INFINITY,
        };
        events.set(body.name, {
          count: count + 1,
          firstAt: Math.min(firstAt, update.at),
          lastAt: Math.max(lastAt, update.at),
        });
      }
    }
  }
  const attributes = new Map<string, unknown>();
  for (const [field, sum] of counters) attributes.set(field, unscaled(sum));
  for (const [field, set] of sets)
    if (set.size > 0)
      attributes.set(
        field,
        [...set].sort().map((json) => JSON.parse(json)),
      );
  for (const [field, value] of registers) attributes.set(field, value);
  return {
    attributes: Object.fromEntries(attributes),
    events: Object.fromEntries(events),
    updates: distinct.length,
  };
}

const DECIMALS = 40;

/** An amount as a whole number of 1e-40ths: exact for every amount the wire schema lets in. */
export function scaled(amount: number): bigint {
  const [mantissa = "0", exponent = "0"] = amount.toString().split("e");
  const [whole = "0", fraction = ""] = mantissa.split(".");
  return BigInt(whole + fraction) * 10n ** BigInt(DECIMALS - fraction.length + Number(exponent));
}

export function unscaled(sum: bigint): number {
  const digits = (sum < 0n ? -sum : sum).toString().padStart(DECIMALS + 1, "0");
  const text = `${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`;
  return Number(sum < 0n ? `-${text}` : text);
}
