/** What the reads of users have in common. */
import type { FastifyReply } from "fastify";
import Type from "typebox";
import type { CompiledDefinitions } from "../../../shared/domain/definitions/compile.ts";
import { UpdateId } from "../../../shared/domain/envelope.ts";
import type { Profile } from "../../../shared/domain/profile.ts";
import { readersOnly } from "../../../shared/http/access.ts";
import type { Operators } from "../../../shared/http/operators.ts";
import type { ProfileRecord, UserKey } from "../../../shared/ports/profile-store.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import type { DefinitionWatch } from "../definition-watch.ts";
import type { ProfileLoader } from "../read-your-write.ts";
import { ofUser } from "./profile-view.ts";

export const UserParams = Type.Object(ofUser);

const DEFAULT_TIMEOUT_MS = 2_000;
const MAX_TIMEOUT_MS = 30_000;
export const After = Type.Object(
  {
    /** Answers once this update is counted. */
    after: Type.Optional(UpdateId),
    timeoutMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: MAX_TIMEOUT_MS,
        default: DEFAULT_TIMEOUT_MS,
        description: "how long to wait for it; then 504 update_not_visible",
      }),
    ),
  },
  { additionalProperties: false },
);
type After = Type.Static<typeof After>;

export type ProfileRouteOptions = {
  /** One for all routes: it bounds how many wait. */
  loader: ProfileLoader;
  watch: Pick<DefinitionWatch, "of" | "document" | "refresh">;
  /** Undefined lets everyone read. */
  readers: Operators | undefined;
  operators?: Operators;
  /** Milliseconds since the epoch. Default: the system clock. */
  now?: () => number;
};

const ERRORS = [400, 401, 404, 503, 504] as const;

/** What routes about one user have in common. */
export function readingRoute({ readers, operators }: Pick<ProfileRouteOptions, "readers" | "operators">) {
  return { config: { errors: ERRORS }, onRequest: readersOnly(readers, operators) };
}

/** The user's record, after the update that is asked for. Waits no longer than the caller does. */
export async function found(
  loader: ProfileLoader,
  user: UserKey,
  { after, timeoutMs = DEFAULT_TIMEOUT_MS }: After,
  reply: FastifyReply,
): Promise<ProfileRecord> {
  if (after === undefined) return existing(user, await loader.load(user));
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  reply.raw.once("close", leave);
  try {
    return existing(user, await loader.load(user, { after, timeoutMs, signal: leaving.signal }));
  } catch (error) {
    throw leaving.signal.aborted ? new KeylineError("caller_left", "nobody waits any more") : error;
  } finally {
    reply.raw.off("close", leave);
  }
}

/**
 * What the tenant has defined, as this process has it. Where a profile was folded with newer definitions it looks for
 * them first; without the store it goes by what it has.
 * @throws KeylineError `definitions_not_loaded`, `definitions_unreadable`
 */
export async function definitionsFor(
  { of, document, refresh }: ProfileRouteOptions["watch"],
  tenant: string,
  profiles: readonly Profile[],
): Promise<CompiledDefinitions> {
  const newest = Math.max(0, ...profiles.map(({ calculated }) => calculated?.version ?? 0));
  if (document(tenant).version < newest) await refresh().catch(() => {});
  return of(tenant);
}

/** @throws KeylineError `user_not_found` */
export function existing(user: UserKey, record: ProfileRecord | undefined): ProfileRecord {
  if (record) return record;
  const { tenant, userId } = user;
  const message = `no update of user ${JSON.stringify(userId)} of tenant ${tenant} was applied`;
  throw new KeylineError("user_not_found", message, { path: "userId", value: userId });
}
