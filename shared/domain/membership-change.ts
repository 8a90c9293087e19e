/** Why a membership changed: an update, time alone, or a definition that is another one now. */
export type ChangeCause = { kind: "update"; id: string } | { kind: "time" } | { kind: "definition" };

/** One user entered or left one audience. Its identity is tenant, user, audience, generation and number. */
export type MembershipChange = {
  audience: string;
  /** The version of the tenant's definitions in which the audience was created; kept while its rule changes. */
  generation: number;
  /** Dense for each user, audience and generation, from 1 on: odd enters, even leaves. */
  number: number;
  /** The user's `asOf`, milliseconds since the epoch. */
  at: number;
  /** The greatest stamp that the profile had counted. */
  stamp: number;
  /** Of the audience's definition. */
  version: number;
  cause: ChangeCause;
};

/** The message on the topic `changes`. */
export type AnnouncedChange = MembershipChange & {
  v: 1;
  tenant: string;
  userId: string;
  change: "entered" | "left";
};

export function announcementOf(tenant: string, userId: string, change: MembershipChange): AnnouncedChange {
  return { v: 1, tenant, userId, change: entersAt(change.number) ? "entered" : "left", ...change };
}

/** Whether a user whose last change has this number is in; 0 stands for no change yet. */
export function entersAt(number: number): boolean {
  return number % 2 === 1;
}
