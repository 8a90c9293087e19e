import { apply } from "../../shared/domain/apply.ts";
import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import type { Operation, Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE, type Profile } from "../../shared/domain/profile.ts";
import { encodeProfile } from "../../shared/domain/profile-record.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";

const DAY_MS = 86_400_000;
const limits = { horizonMs: 30 * DAY_MS, maxSources: 128, maxIds: 32, idMemoryMs: DAY_MS };

/** What one update of the source `s` says, at a moment. */
export type Said = { at: number; ops: Operation[]; id?: string };

export const order = (properties: Record<string, unknown> = {}): Operation => ({
  kind: "event",
  body: { name: "order_completed", properties },
});

/** The profile of `shop`'s user `u` after these, numbered from `firstSeq` on. */
export function profileAfter(
  said: readonly Said[],
  definitions: CompiledDefinitions,
  { profile = EMPTY_PROFILE, firstSeq = 1 }: { profile?: Profile; firstSeq?: number } = {},
): Profile {
  const updates = said.map(({ at, ops, id }, index): Update => {
    const seq = firstSeq + index;
    const update = {
      v: 1 as const,
      tenant: "shop",
      userId: "u",
      src: "s",
      seq,
      stamp: stampAt(at) + seq,
      at,
      ops,
    };
    return id === undefined ? update : { ...update, id };
  });
  return apply(profile, updates, limits, updates.at(-1)?.at ?? 0, definitions).profile;
}

/** As the service would. */
export async function saveProfile(store: ProfileStore, userId: string, profile: Profile): Promise<void> {
  const user = { tenant: "shop", userId };
  const current = await store.load(user);
  const at = profile.lastStamp;
  const [result] = await store.save([
    {
      user,
      expectedVersion: current?.version,
      version: current === undefined ? "1" : String(Number(current.version) + 1),
      machinery: encodeProfile(profile, { id: "s-1", at: 0, path: "pulsar", appliedAtMs: 0, lagMs: 1 }),
      setAttributes: [],
      removeAttributes: [],
    },
  ]);
  if (result?.outcome !== "saved") throw new Error(`not saved, at ${at}`);
}
