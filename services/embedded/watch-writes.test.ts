import { expect, test } from "vitest";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import { apply } from "../../shared/domain/apply.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { encodeProfile } from "../../shared/domain/profile-record.ts";
import { watchWrites } from "./watch-writes.ts";

const NOW_MS = 1_767_225_600_000;
const limits = { horizonMs: 86_400_000, maxSources: 128, maxIds: 32, idMemoryMs: 86_400_000 };
const user = { tenant: "t", userId: "u" };
const update = (src: string, seq: number, id: string): Update => ({
  ...{ v: 1, ...user, src, seq, id, stamp: NOW_MS * 2_048 + seq, at: NOW_MS },
  ops: [{ kind: "increment", body: { points: 1 } }],
});

test("what repeats an id is told apart from copies of one update, which are no news of it", async () => {
  const watched = watchWrites(createMemoryProfileStore({ maxProfiles: 1 }), 1);
  const lastUpdate = { id: "a", at: NOW_MS, path: "pulsar", appliedAtMs: NOW_MS, lagMs: 1 };
  const turns = [
    [update("s", 1, "a"), update("s", 1, "a"), update("s", 3, "b")],
    [update("s", 4, "a"), update("s", 4, "a"), update("other", 1, "b")],
    [update("s", 2, "c"), update("s", 1, "a")],
  ];
  let profile = EMPTY_PROFILE;
  const repeats: number[] = [];
  for (const [index, updates] of turns.entries()) {
    profile = apply(profile, updates, limits, NOW_MS).profile;
    const versions = { expectedVersion: index === 0 ? undefined : `${index}`, version: `${index + 1}` };
    const machinery = encodeProfile(profile, lastUpdate);
    await watched.store.save([{ user, ...versions, machinery, setAttributes: [], removeAttributes: [] }]);
    repeats.push(watched.repeatedIds());
  }
  expect(repeats).toEqual([0, 2, 2]);
  await watched.store.close();
});
