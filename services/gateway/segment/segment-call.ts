import Type from "typebox";
import { FieldName, MAX_NAMES, Properties, UpdateId, UserId } from "../../../shared/domain/envelope.ts";

/**
 * The calls of Segment's HTTP tracking API, as far as they are read here. What is not named here may be there and
 * is passed over: real clients send more. `null` is taken for absent, everywhere at the top; see
 * read-segment-call.ts. A description is what a refusal says, after "must be".
 *
 * Sources: https://segment.com/docs/connections/spec/common/,
 * https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/, and for each call its page,
 * such as https://segment.com/docs/connections/spec/track/.
 */

export const callTypes = ["track", "identify", "page", "screen", "group", "alias"] as const;
export type CallType = (typeof callTypes)[number];

/**
 * The user of who is known by an anonymous id only is this and the id. With a prefix, and refused in a `userId`,
 * so that an anonymous id is never taken for a user's: a client makes the one up, and could name anybody.
 */
export const ANONYMOUS = "$anonymous:";

/** With its prefix it fits a user id. */
const AnonymousId = Type.String({
  pattern: `^[^\\u0000-\\u001f\\u007f]{1,${256 - ANONYMOUS.length}}$`,
  description: `a string of 1 to ${256 - ANONYMOUS.length} characters, no control characters`,
});
/** Names that begin with `$` are kept for the events that are made of the other calls. */
const EventName = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: "^[^$]",
  description: "a string of 1 to 128 characters, not starting with $",
});
const Time = Type.String({ description: "an ISO 8601 time" });
const Text = Type.String({ description: "a string" });
const Id = Type.String({ minLength: 1, description: "a string, not empty" });
const AnyObject = Type.Object({}, { description: "an object" });

const common = {
  userId: Type.Optional(UserId),
  anonymousId: Type.Optional(AnonymousId),
  /** Its update's id: a call that is sent again counts once. */
  messageId: Type.Optional(UpdateId),
  /** When it happened, and when it was sent, by the client's clock. */
  timestamp: Type.Optional(Time),
  originalTimestamp: Type.Optional(Time),
  sentAt: Type.Optional(Text),
  context: Type.Optional(Properties),
  // Checked for their form and not used.
  integrations: Type.Optional(AnyObject),
  writeKey: Type.Optional(Text),
  channel: Type.Optional(Text),
  version: Type.Optional(Type.Union([Type.String(), Type.Number()], { description: "a string or a number" })),
  _metadata: Type.Optional(AnyObject),
};

const call = <T extends CallType, F extends Type.TProperties>(type: T, fields: F) =>
  Type.Object({ type: Type.Literal(type), ...common, ...fields });

const viewed = {
  name: Type.Optional(Text),
  category: Type.Optional(Text),
  properties: Type.Optional(Properties),
};

/** Each type of call with its schema, so that a refused one can be explained by its own type. */
export const callSchemas = {
  track: call("track", { event: EventName, properties: Type.Optional(Properties) }),
  identify: call("identify", {
    traits: Type.Optional(
      Type.Record(FieldName, Type.Unknown(), {
        additionalProperties: false,
        maxProperties: MAX_NAMES,
        description:
          "an object of at most 256 names, each of 1 to 128 characters, no control characters, not starting with $, and any JSON values",
      }),
    ),
  }),
  page: call("page", viewed),
  screen: call("screen", viewed),
  group: call("group", { groupId: Id, traits: Type.Optional(Properties) }),
  alias: call("alias", { userId: UserId, previousId: UserId }),
} as const;

export type SegmentCall = { [T in CallType]: Type.Static<(typeof callSchemas)[T]> }[CallType];
