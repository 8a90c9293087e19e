/** The port to which records are linked to which user, for all gateways together. */
import type { UserKey } from "./profile-store.ts";

export type Link = UserKey & {
  /** The other record: the id by which the user was known before. */
  linkedId: string;
};

export type LinkStore = {
  /**
   * Links each record to its user, unless that one has `limit` others already; what is linked stays so whatever the
   * limit becomes. One step for each link, none is lost to another.
   *
   * @returns for each whether it is linked now. Rejects with `store_unavailable`; some may be linked all the same.
   */
  link(links: readonly Link[], limit: number): Promise<boolean[]>;
  close(): Promise<void>;
};
