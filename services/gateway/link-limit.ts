import { Compile } from "typebox/compile";
import { UserId } from "../../shared/domain/envelope.ts";
import { quote } from "../../shared/domain/refusal.ts";
import { Refused } from "../../shared/http/http-errors.ts";
import type { Link, LinkStore } from "../../shared/ports/link-store.ts";
import { refusalOf } from "../../shared/publish/update-input.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import type { Item } from "./accept.ts";
import { DEFAULT_LINKS_PER_USER, type Tenant } from "./tenants/tenant.ts";

/** An alias says that two records are one user's. Which event that is: segment/segment-updates.ts. */
const ALIAS = "$alias";

const id = Compile(UserId);

/**
 * Refuses an alias of what is no user's id, and what would link more records to one user than the tenant's quota allows: a client that sends everybody's ids
 * as one user's would join all of them. While the store is away nothing is refused.
 */
export function createLinkLimit(options: {
  links: Pick<LinkStore, "link">;
  onError(error: unknown): void;
}): (tenant: Tenant, items: readonly Item[]) => Promise<readonly Item[]> {
  return async (tenant, given) => {
    const items = given.map((item) => refuseNoId(linksOf(item)) ?? item);
    const linksOfItems = items.map(linksOf);
    const asked = linksOfItems.flat();
    if (asked.length === 0) return items;
    const limit = tenant.quotas.maxLinksPerUser ?? DEFAULT_LINKS_PER_USER;
    let linked: boolean[];
    try {
      linked = await options.links.link(asked, limit);
    } catch (error) {
      options.onError(error);
      return items;
    }
    const surplus = new Set(asked.filter((_, index) => !linked[index]));
    return items.map((item, index) => {
      const refused = linksOfItems[index]!.find((link) => surplus.has(link));
      return refused ? refuse(refused, limit) : item;
    });
  };
}

type PlacedLink = Link & { path: string };

function refuse({ userId, linkedId, path }: PlacedLink, limit: number): KeylineError {
  const message = `${path}: ${JSON.stringify(userId)} has ${limit} linked records, as many as maxLinksPerUser allows`;
  return new Refused("too_many_links", message, { path, value: quote(linkedId) });
}

/** Segment's alias was checked when it was read; exact operations can say anything. */
function refuseNoId(links: readonly PlacedLink[]): KeylineError | undefined {
  const wrong = links.find(({ linkedId }) => !id.Check(linkedId));
  if (wrong === undefined) return undefined;
  const { path, linkedId } = wrong;
  const message = `${path}: must be as a userId, 1 to 256 characters, no control characters`;
  return new Refused("invalid_update", message, { path, value: quote(linkedId) });
}

/** All of an update; none of what will be refused for what is wrong with it. */
function linksOf(item: Item): PlacedLink[] {
  if (item instanceof KeylineError || !Array.isArray(item.ops)) return [];
  const { tenant, userId, ops } = item;
  const links: PlacedLink[] = [];
  for (const [index, op] of ops.entries()) {
    if (op?.kind !== "event" || op.body?.name !== ALIAS) continue;
    const linkedId = op.body.properties?.previousId;
    if (typeof linkedId !== "string") continue;
    links.push({ tenant, userId, linkedId, path: `ops[${index}].body.properties.previousId` });
  }
  return links.length > 0 && refusalOf(item) ? [] : links;
}
