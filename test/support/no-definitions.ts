import type { DefinitionWatch } from "../../services/audience-update/definition-watch.ts";
import { createHotUsers, type HotUsers } from "../../services/audience-update/hot-users.ts";
import type { EffectRunner } from "../../services/audience-update/turn-effects.ts";
import { NO_DEFINITIONS } from "../../shared/domain/definitions/compile.ts";

/** For tests of what has nothing to do with tenants: none has definitions or limits, so that nothing follows from a turn. */
export const noDefinitions: {
  definitions: Pick<DefinitionWatch, "isFresh" | "refresh" | "of">;
  effects: EffectRunner;
  hotUsers: HotUsers;
} = {
  definitions: { isFresh: () => true, async refresh() {}, of: () => NO_DEFINITIONS },
  hotUsers: createHotUsers({ policyOf: () => undefined, now: () => performance.now() }),
  effects: {
    carryOut() {
      throw new Error("nothing can follow from a turn without definitions");
    },
    close() {},
  },
};
