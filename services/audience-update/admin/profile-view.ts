/** What readers see of one user. Times are ISO 8601, durations milliseconds. */
import Type from "typebox";
import { calculatedView } from "../../../shared/domain/calculated-view.ts";
import type { CompiledDefinitions } from "../../../shared/domain/definitions/compile.ts";
import type { TenantDefinitions } from "../../../shared/domain/definitions/tenant-definitions.ts";
import { Tenant, UserId } from "../../../shared/domain/envelope.ts";
import { lastChangeIn } from "../../../shared/domain/last-change.ts";
import { entersAt } from "../../../shared/domain/membership-change.ts";
import { attributes, type Profile } from "../../../shared/domain/profile.ts";
import type { UserKey } from "../../../shared/ports/profile-store.ts";
import { versionNumber } from "../profile-version.ts";
import type { ReadProfile } from "../read-profile.ts";
import { Iso, standingFields } from "./definition-schema.ts";
import { standingView } from "./definition-view.ts";
import { isoTime } from "./iso-time.ts";

export const ofUser = { tenant: Tenant, userId: UserId };

/** What every answer with calculated values says of how old they are. */
export const asOfFields = {
  asOf: Iso("attributes are as of this moment"),
  definitionsVersion: Type.Integer({
    description: "of the tenant's definitions that the profile was folded with last; 0 for none",
  }),
};

const EventSummary = Type.Object({
  count: Type.Integer(),
  firstAt: Iso("the first"),
  lastAt: Iso("the last"),
});

export const ProfileView = Type.Object({
  ...ofUser,
  attributes: Type.Record(Type.String(), Type.Unknown(), {
    description: "calculated ones, and the profile's own of other names",
  }),
  audiences: Type.Array(Type.String(), { description: "that the user is in" }),
  ...asOfFields,
  events: Type.Record(Type.String(), EventSummary),
  eventsSeen: Type.Integer(),
  updates: Type.Integer({ description: "distinct ones counted" }),
  version: Type.Integer({ description: "of the record, rising with each write" }),
  lastUpdate: Type.Object({
    id: Type.String(),
    at: Iso("when it happened"),
    path: Type.String(),
    appliedAt: Iso("when it was applied"),
  }),
  lagMs: Type.Number({ description: "from the stamp of the last update to its appearance here" }),
});
export type ProfileView = Type.Static<typeof ProfileView>;

/** Values and memberships; a name that is calculated hides the profile's own, also where it has no value. */
export function valuesOf(profile: Profile, definitions: CompiledDefinitions, nowMs: number) {
  const view = calculatedView(profile, definitions, nowMs);
  const own = Object.entries(attributes(profile)).filter(([name]) => !definitions.attributeAt.has(name));
  return {
    attributes: Object.fromEntries([...own, ...Object.entries(view.attributes)]) as Record<string, unknown>,
    audiences: view.audiences,
    asOf: isoTime(view.asOfMs),
    definitionsVersion: view.version,
  };
}

/** A whole profile. */
export function profileView(
  { tenant, userId }: UserKey,
  { version, profile, lastUpdate }: ReadProfile,
  definitions: CompiledDefinitions,
  nowMs: number,
): ProfileView {
  const events = [...profile.events].map(([name, { count, firstAt, lastAt }]) => [
    name,
    { count, firstAt: isoTime(firstAt), lastAt: isoTime(lastAt) },
  ]);
  const { id, at, path, appliedAtMs, lagMs } = lastUpdate;
  return {
    tenant,
    userId,
    ...valuesOf(profile, definitions, nowMs),
    events: Object.fromEntries(events) as ProfileView["events"],
    eventsSeen: [...profile.events.values()].reduce((sum, { count }) => sum + count, 0),
    updates: profile.updates,
    version: versionNumber(version),
    lastUpdate: { id, at: isoTime(at), path, appliedAt: isoTime(appliedAtMs) },
    lagMs,
  };
}

export const MembershipsView = Type.Object({
  ...ofUser,
  audiences: Type.Array(
    Type.Object({
      name: Type.String(),
      member: Type.Boolean({ description: "false for all of a disabled audience" }),
      number: Type.Integer({ description: "of the user's last change in it: odd entered, even left" }),
      ...standingFields,
    }),
  ),
  ...asOfFields,
});

type MembershipsView = Type.Static<typeof MembershipsView>;

/** The audiences that the user is in; with `all` also those that the user has left, and disabled ones. */
export function membershipsView(
  profile: Profile,
  document: TenantDefinitions,
  all: boolean,
): MembershipsView["audiences"] {
  return Object.keys(document.audiences)
    .sort()
    .flatMap((name) => {
      const { standing, definition } = document.audiences[name]!;
      const number = lastChangeIn(profile, standing)?.number ?? 0;
      const view = standingView(standing, definition);
      const member = view.enabled && entersAt(number);
      return member || (all && number > 0) ? [{ name, member, number, ...view }] : [];
    });
}
