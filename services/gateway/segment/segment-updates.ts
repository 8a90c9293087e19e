import type { Operation } from "../../../shared/domain/envelope.ts";
import { momentOf } from "../../../shared/domain/iso-time.ts";
import type { UpdateInput } from "../../../shared/publish/update-input.ts";
import { ANONYMOUS, type SegmentCall } from "./segment-call.ts";

/** What is known of a call besides what it says itself. */
export type Arrival = {
  tenant: string;
  /** When the request came, ms since the epoch. */
  receivedAtMs: number;
  /** When the whole batch was sent, by the client's clock, ms since the epoch. */
  sentAtMs?: number | undefined;
};

/** A call that was checked, and the moment that it tells, by the client's clock. */
export type TakenCall = { call: SegmentCall; happenedAtMs: number | undefined };

type Fields = Record<string, unknown>;

/**
 * The update that a call of Segment's becomes; one call is one update. An accepted call (read-segment-call.ts)
 * gives an update that the publisher takes.
 *
 * - `track` is the event of its name; `page`, `screen`, `group` and `alias` are events `$page`, `$screen`, `$group`
 *   and `$alias`. Which profiles an alias joins is not decided here: it is kept, on the user `userId`.
 * - `identify` sets the traits, those that are null it unsets, and is an event `$identify`, which keeps its context.
 * - The user is `userId`, else `$anonymous:` and the anonymous id. Of a call with both the anonymous id is kept in
 *   the event's context: it says that the two are one.
 */
export function updateOf({ call, happenedAtMs }: TakenCall, arrival: Arrival): UpdateInput {
  const { userId, anonymousId, messageId } = call;
  return {
    tenant: arrival.tenant,
    userId: userId ?? `${ANONYMOUS}${anonymousId}`,
    ops: operationsOf(call),
    at: correctedMs(happenedAtMs, call, arrival),
    ...(messageId === undefined ? {} : { id: messageId }),
  };
}

/** What the call's event tells by name, or undefined where it has none of it. */
export function propertiesOf(call: SegmentCall): Fields | undefined {
  switch (call.type) {
    case "track":
      return call.properties;
    case "identify":
      return undefined;
    case "page":
    case "screen": {
      const { name, category, properties } = call;
      if (name === undefined && category === undefined) return properties;
      return {
        ...properties,
        ...(name === undefined ? {} : { name }),
        ...(category === undefined ? {} : { category }),
      };
    }
    case "group":
      // Last, so that a trait of that name does not hide whose traits they are.
      return { ...call.traits, groupId: call.groupId };
    case "alias":
      return { previousId: call.previousId };
  }
}

/** What the call says around its event, or undefined where that is nothing. */
export function contextOf({ context, userId, anonymousId }: SegmentCall): Fields | undefined {
  const kept = userId === undefined || anonymousId === undefined ? context : { ...context, anonymousId };
  return kept && Object.keys(kept).length > 0 ? kept : undefined;
}

function operationsOf(call: SegmentCall): Operation[] {
  const name = call.type === "track" ? call.event : `$${call.type}`;
  const properties = propertiesOf(call);
  const context = contextOf(call);
  const event: Operation = {
    kind: "event",
    body: { name, ...(properties && { properties }), ...(context && { context }) },
  };
  return call.type === "identify" ? [...traitOperations(call.traits ?? {}), event] : [event];
}

function traitOperations(traits: Fields): Operation[] {
  const unset = Object.keys(traits).filter((name) => traits[name] === null);
  const set = Object.entries(traits).filter(([, value]) => value !== null);
  const operations: Operation[] = [];
  if (set.length > 0) operations.push({ kind: "set", body: Object.fromEntries(set) });
  if (unset.length > 0) operations.push({ kind: "unset", body: unset });
  return operations;
}

/**
 * When it happened by the clock here, ms since the epoch: `receivedAt - (sentAt - timestamp)`, which takes out what
 * the client's clock is wrong by. As Segment does it:
 * https://segment.com/docs/connections/spec/common/#timestamps. Where `sentAt` is missing or no time, `timestamp` as
 * it is; without that the moment of arrival. The batch's `sentAt` goes before the call's own: it is nearer to
 * the sending.
 */
function correctedMs(
  happened: number | undefined,
  call: SegmentCall,
  { receivedAtMs, sentAtMs }: Arrival,
): number {
  if (happened === undefined) return receivedAtMs;
  const sent = sentAtMs ?? momentOf(call.sentAt);
  return sent === undefined ? happened : receivedAtMs - (sent - happened);
}
