import type { Operation } from "../../shared/domain/envelope.ts";

/** A small random source with a seed (mulberry32), for schedules that must be repeatable. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Operations of every kind, on few fields, so that updates of one user collide. */
export function seededOperations(random: () => number): Operation[] {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const tags = ["vip", "new", "sale", "app"];
  const one = (): Operation => {
    switch (Math.floor(random() * 6)) {
      case 0:
        return { kind: "set", body: { [pick(["plan", "city"])]: pick(["free", "pro", "team", 7, null]) } };
      case 1:
        return { kind: "unset", body: [pick(["plan", "city"])] };
      case 2:
        return { kind: "add", body: { tags: [pick(tags), pick(tags)] } };
      case 3:
        return { kind: "remove", body: { tags: [pick(tags)] } };
      case 4:
        return {
          kind: "increment",
          body: { points: Math.floor(random() * 100) - 20, dollars: Math.floor(random() * 10_000) / 100 },
        };
      default:
        return { kind: "event", body: { name: pick(["viewed", "ordered"]), properties: { amount: 1 } } };
    }
  };
  return Array.from({ length: 1 + Math.floor(random() * 2) }, one);
}
