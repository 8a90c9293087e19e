import { isDeepStrictEqual } from "node:util";
import type { Update } from "../../shared/domain/envelope.ts";
import { expectedProfile } from "../../test/support/oracle.ts";
import type { KeptProfile } from "./peer.ts";
import { COUNTER, MARKS } from "./peer-updates.ts";

/** How the profiles of a run differ from what the oracle says of the same updates. */
export type Differences = {
  users: number;
  /** Users whose profile differs in anything. */
  wrongUsers: number;
  /** Of those the ones that have all counters, sets and event counts right: a register has another value. */
  onlyRegisters: number;
  /** Updates whose mark is in no profile. Of updates with marks. */
  lost: number;
  /** How often an update was counted again. Of updates with marks. */
  doubled: number;
};

/** Compares all users that the updates are of. */
export function differences(updates: readonly Update[], kept: ReadonlyMap<string, KeptProfile>): Differences {
  const byUser = Map.groupBy(updates, ({ userId }) => userId);
  const found: Differences = { users: byUser.size, wrongUsers: 0, onlyRegisters: 0, lost: 0, doubled: 0 };
  for (const [userId, own] of byUser) {
    const { attributes, events } = expectedProfile(own);
    const actual = kept.get(userId) ?? { attributes: {}, events: {} };
    const expected = { attributes, events };
    if (!isDeepStrictEqual(plain(actual), plain(expected))) {
      found.wrongUsers += 1;
      if (isDeepStrictEqual(withoutRegisters(actual), withoutRegisters(expected))) found.onlyRegisters += 1;
    }
    const { [MARKS]: marks = [], [COUNTER]: count = 0 } = actual.attributes as {
      [MARKS]?: string[];
      [COUNTER]?: number;
    };
    if (MARKS in attributes) {
      found.lost += own.length - marks.length;
      found.doubled += Math.max(0, count - marks.length);
    }
  }
  return found;
}

/** Maps and prototypes aside. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** The registers of the bench are all texts. */
function withoutRegisters({ attributes, events }: KeptProfile): KeptProfile {
  const others = Object.entries(attributes).filter(([, value]) => typeof value !== "string");
  return plain({ attributes: Object.fromEntries(others), events });
}
