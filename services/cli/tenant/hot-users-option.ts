import { InvalidArgumentError } from "commander";
import type { HotUserPolicy } from "../../../shared/domain/hot-user-policy.ts";

const FORM = /^(\d{1,7}):(fold|sample|skip|park)(?::(\d{1,7}))?$/;

/** `100:park`, `100:sample:20`: updates a second of one user, and what becomes of those over it. */
export function parseHotUsers(text: string): HotUserPolicy {
  const [, updatesPerSecond, over, oneIn] = FORM.exec(text) ?? [];
  if (!updatesPerSecond || !over || (oneIn !== undefined && over !== "sample"))
    throw new InvalidArgumentError(
      `must be such as 100:fold, 100:sample:10, 100:skip or 100:park, not ${JSON.stringify(text)}`,
    );
  return {
    updatesPerSecond: Number(updatesPerSecond),
    over: over as HotUserPolicy["over"],
    ...(oneIn === undefined ? {} : { oneIn: Number(oneIn) }),
  };
}

/** As `parseHotUsers` reads it. */
export function hotUsersText({ updatesPerSecond, over, oneIn }: HotUserPolicy): string {
  return [updatesPerSecond, over, ...(oneIn === undefined ? [] : [oneIn])].join(":");
}
