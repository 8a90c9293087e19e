import { describe, expect, test } from "vitest";
import { readBatch, readCall } from "../../services/gateway/segment/read-segment-call.ts";
import { type CallType, callTypes } from "../../services/gateway/segment/segment-call.ts";
import { updateOf } from "../../services/gateway/segment/segment-updates.ts";
import { momentOf } from "../../shared/domain/iso-time.ts";

/** The examples of https://segment.com/docs/connections/spec/, each with all of its common fields. */
const common = {
  anonymousId: "507f191e810c19729de860ea",
  channel: "browser",
  context: { ip: "8.8.8.8", userAgent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_5)" },
  integrations: { All: true, Mixpanel: false, Salesforce: false },
  messageId: "022bb90c-bbac-11e4-8dfc-aa07a5b093db",
  receivedAt: "2015-02-23T22:28:55.387Z",
  sentAt: "2015-02-23T22:28:55.111Z",
  timestamp: "2015-02-23T22:28:55.111Z",
  userId: "97980cfea0067",
  version: "1.1",
};
const traits = {
  name: "Peter Gibbons",
  email: "peter@example.com",
  plan: "premium",
  logins: 5,
  address: { street: "6th St", city: "San Francisco", state: "CA", postalCode: "94103", country: "USA" },
};
const groupTraits = {
  name: "Initech",
  industry: "Technology",
  employees: 329,
  plan: "enterprise",
  "total billed": 830,
};
const page = { title: "Welcome | Initech", url: "http://www.example.com" };
const kept = { ...common.context, anonymousId: common.anonymousId };

const receivedAtMs = Date.parse("2026-01-01T00:00:00Z");
const arrival = { tenant: "shop", receivedAtMs };
const track = { type: "track", userId: "42", event: "Song Played" };

function taken(value: unknown, type?: CallType) {
  const read = readCall(value, type, "");
  if ("refusal" in read) throw new Error(JSON.stringify(read.refusal));
  return read;
}
const updateFrom = (value: unknown, more = {}) => updateOf(taken(value), { ...arrival, ...more });
const eventOf = (value: unknown) => updateFrom(value).ops.at(-1)!.body;
const refusalOf = (value: unknown, type?: CallType) => {
  const read = readCall(value, type, "batch[3]");
  return "refusal" in read ? read.refusal : undefined;
};

describe("Segment's own example of", () => {
  test("track is the event of its name", () => {
    const call = {
      anonymousId: "23adfd82-aa0f-45a7-a756-24f2a7a4c895",
      context: {
        library: { name: "analytics.js", version: "2.11.1" },
        page: { path: "/academy/", referrer: "", search: "", title: "Analytics Academy" },
        ip: "108.0.78.21",
      },
      event: "Course Clicked",
      integrations: {},
      messageId: "ajs-f8ca1e4de5024d9430b3928bd8ac6b96",
      properties: { title: "Intro to Analytics" },
      receivedAt: "2015-12-12T19:11:01.266Z",
      sentAt: "2015-12-12T19:11:01.169Z",
      timestamp: "2015-12-12T19:11:01.249Z",
      type: "track",
      userId: "AiUGstSDIg",
      originalTimestamp: "2015-12-12T19:11:01.152Z",
    };
    expect(updateFrom(call)).toEqual({
      tenant: "shop",
      userId: "AiUGstSDIg",
      id: "ajs-f8ca1e4de5024d9430b3928bd8ac6b96",
      at: receivedAtMs + 80,
      ops: [
        {
          kind: "event",
          body: {
            name: "Course Clicked",
            properties: { title: "Intro to Analytics" },
            context: { ...call.context, anonymousId: call.anonymousId },
          },
        },
      ],
    });
  });

  test("identify sets the traits, and is an event that keeps the context", () => {
    expect(updateFrom({ ...common, type: "identify", traits })).toEqual({
      tenant: "shop",
      userId: "97980cfea0067",
      id: common.messageId,
      at: receivedAtMs,
      ops: [
        { kind: "set", body: traits },
        { kind: "event", body: { name: "$identify", context: kept } },
      ],
    });
  });

  test.each([
    ["page", { name: "Home", properties: page }, { ...page, name: "Home" }],
    [
      "screen",
      { name: "Home", properties: { "Feed Type": "private" } },
      { "Feed Type": "private", name: "Home" },
    ],
    [
      "group",
      { groupId: "0e8c78ea9d97a7b8185e8632", traits: groupTraits },
      { ...groupTraits, groupId: "0e8c78ea9d97a7b8185e8632" },
    ],
    ["alias", { previousId: "39239-239239-239239-23923" }, { previousId: "39239-239239-239239-23923" }],
  ])("%s is an event of ours", (type, fields, properties) => {
    const { userId, ops } = updateFrom({ ...common, ...fields, type });
    expect(userId).toBe("97980cfea0067");
    expect(ops).toEqual([{ kind: "event", body: { name: `$${type}`, properties, context: kept } }]);
  });

  test("batch is one update a call, each in the context of the batch", () => {
    const body = {
      batch: [
        {
          type: "identify",
          userId: "019mr8mf4r",
          traits: { email: "jake@yahoo.com", name: "Jake Peterson", age: 26 },
          timestamp: "2012-12-02T00:30:08.276Z",
        },
        {
          type: "track",
          userId: "971mj8mk7p",
          event: "Song Played",
          properties: { name: "Get Right", artist: "Jennifer Lopez" },
          timestamp: "2015-2-02T00:30:12.984Z",
          context: { ip: "24.5.68.47" },
        },
      ],
      writeKey: "YOUR_WRITE_KEY",
      context: { device: { type: "phone", name: "Apple iPhone 6" }, ip: "8.8.8.8" },
    };
    const read = readBatch(body);
    if ("refusal" in read) throw new Error(read.refusal.message);
    const updates = read.calls.map((each) => ("call" in each ? updateOf(each, arrival) : each));
    expect(updates).toMatchObject([
      {
        userId: "019mr8mf4r",
        at: Date.parse("2012-12-02T00:30:08.276Z"),
        ops: [{ kind: "set" }, { kind: "event" }],
      },
      { userId: "971mj8mk7p", at: Date.parse("2015-02-02T00:30:12.984Z") },
    ]);
    expect(updates[1]).toHaveProperty("ops[0].body.context", { ...body.context, ip: "24.5.68.47" });
  });

  test("the HTTP API without a type takes it from the route, which goes before its own", () => {
    const { type: _, ...call } = { ...track, writeKey: "YOUR_WRITE_KEY", email: "test@example.org" };
    expect(taken(call, "track").call).toMatchObject({ type: "track", event: "Song Played" });
    expect(taken({ ...track, type: "page" }, "track").call).toMatchObject({ type: "track" });
  });
});

describe("the user is", () => {
  const { userId: _, ...nobody } = track;
  test.each([
    [{ userId: "42" }, "42"],
    [{ anonymousId: "42" }, "$anonymous:42"],
    [{ userId: null, anonymousId: "42" }, "$anonymous:42"],
    [{ userId: "", anonymousId: "42" }, "$anonymous:42"],
    [{ userId: "42", anonymousId: null }, "42"],
    [{ userId: "42", anonymousId: "" }, "42"],
  ])("of %j: %s, and nothing more is kept", (ids, userId) => {
    const update = updateFrom({ ...nobody, ...ids });
    expect(update.userId).toBe(userId);
    expect(update.ops).toEqual([{ kind: "event", body: { name: "Song Played" } }]);
  });

  test("an anonymous id that is no longer than a user's may be with its prefix", () => {
    const refused = { path: "batch[3].anonymousId", message: expect.stringContaining("1 to 245 characters") };
    expect(updateFrom({ ...nobody, anonymousId: "x".repeat(245) }).userId).toHaveLength(256);
    expect(refusalOf({ ...nobody, anonymousId: "x".repeat(246) })).toMatchObject(refused);
  });

  test("the userId of a call with both, which keeps the anonymous id, before one in its own context", () => {
    const call = { ...track, anonymousId: "a", context: { anonymousId: "b", ip: "::1" } };
    expect(eventOf(call)).toMatchObject({ context: { anonymousId: "a", ip: "::1" } });
  });
});

describe("it happened", () => {
  const at = "2026-01-01T00:00:00Z";
  const hourLater = "2026-01-01T01:00:00Z";
  test.each<[what: string, fields: object, batchSentAt: string | undefined, fromArrivalMs: number]>([
    ["when it came, where the call says nothing", {}, undefined, 0],
    [
      "as long before it came as before it was sent",
      { timestamp: at, sentAt: hourLater },
      undefined,
      -3_600_000,
    ],
    ["so by the batch's sentAt, before the call's own", { timestamp: at, sentAt: at }, hourLater, -3_600_000],
    ["as it says, where it was not said when it was sent", { timestamp: hourLater }, undefined, 3_600_000],
    ["as it says, where it was sent at no time", { timestamp: hourLater, sentAt: "soon" }, "now", 3_600_000],
    [
      "at the original timestamp, where it has that alone",
      { originalTimestamp: hourLater },
      undefined,
      3_600_000,
    ],
    ["when it came, where it says only when it was sent", { sentAt: at }, hourLater, 0],
    ["in UTC, without an offset", { timestamp: "2026-01-01T01:00:00" }, undefined, 3_600_000],
  ])("%s", (_, fields, sentAt, fromArrivalMs) => {
    expect(updateFrom({ ...track, ...fields }, { sentAtMs: momentOf(sentAt) }).at).toBe(
      receivedAtMs + fromArrivalMs,
    );
  });

  test.each([
    ["2012-12-02", "2012-12-02T00:00:00.000Z"],
    ["2012-12-02T00:30:12.984123456+02:00", "2012-12-01T22:30:12.984Z"],
    ["2012-12-02 00:30:12 -0130", "2012-12-02T02:00:12.000Z"],
    ["2012-12-02t00:30z", "2012-12-02T00:30:00.000Z"],
  ])("at %s: %s", (timestamp, moment) => {
    expect(new Date(updateFrom({ ...track, timestamp }).at!).toISOString()).toBe(moment);
  });
});

describe("traits", () => {
  test("that are null are unset, the others set", () => {
    const { ops } = updateFrom({
      type: "identify",
      userId: "42",
      traits: { plan: null, city: "Bern", age: 0 },
    });
    expect(ops).toEqual([
      { kind: "set", body: { city: "Bern", age: 0 } },
      { kind: "unset", body: ["plan"] },
      { kind: "event", body: { name: "$identify" } },
    ]);
  });

  test.each([[{}], [null], [undefined]])("%j: nothing is set, and the call is kept", (none) => {
    const { ops } = updateFrom({ type: "identify", userId: "42", traits: none });
    expect(ops).toEqual([{ kind: "event", body: { name: "$identify" } }]);
  });

  test("of a group don't hide whose they are", () => {
    const call = { type: "group", userId: "42", groupId: "g", traits: { groupId: "other" } };
    expect(eventOf(call)).toEqual({ name: "$group", properties: { groupId: "g" } });
  });
});

describe("a call is refused with the path and value of what is wrong, as its caller wrote it", () => {
  const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, 1]));
  const identify = { type: "identify", userId: "42" };
  const calls = "track, identify, page, screen, group, alias";
  const tooMany = (added: string) =>
    `has too many names: at most 256, with ${added} of the call, kept among them`;
  test.each<[value: unknown, path: string, found: unknown, message: string]>([
    [[], "", "[]", "must be an object"],
    [{ ...track, type: undefined }, ".type", "undefined", "is required"],
    [{ ...track, type: "purchase" }, ".type", '"purchase"', `must be one of ${calls}`],
    [{ ...track, userId: null }, ".userId", "undefined", "is required where there is no anonymousId"],
    [
      { ...track, userId: 42 },
      ".userId",
      "42",
      "must be a string of 1 to 256 characters, no control characters",
    ],
    [{ ...track, userId: "\udc00" }, ".userId", '"\\udc00"', "must be well-formed Unicode"],
    [
      { ...track, userId: "$anonymous:a" },
      ".userId",
      '"$anonymous:a"',
      "must not start with $anonymous:, which is kept for anonymousId",
    ],
    [{ ...track, anonymousId: "\ud800" }, ".anonymousId", '"\\ud800"', "must be well-formed Unicode"],
    [{ ...track, event: null }, ".event", "null", "is required"],
    [
      { ...track, event: "$page" },
      ".event",
      '"$page"',
      "must be a string of 1 to 128 characters, not starting with $",
    ],
    [
      { ...track, messageId: "a b" },
      ".messageId",
      '"a b"',
      "must be a string of 1 to 128 printable ASCII characters without spaces",
    ],
    [{ ...track, timestamp: "2012-02-30" }, ".timestamp", '"2012-02-30"', "must be an ISO 8601 time"],
    [{ ...track, originalTimestamp: "now" }, ".originalTimestamp", '"now"', "must be an ISO 8601 time"],
    [{ ...track, version: [2] }, ".version", "[2]", "must be a string or a number"],
    [
      { ...track, properties: names(257) },
      ".properties",
      expect.any(String),
      "must be an object of at most 256 names, each of at most 128 characters, and any JSON values",
    ],
    [{ ...identify, traits: { $x: 1 } }, ".traits.$x", "1", expect.stringContaining("not starting with $")],
    [
      { ...identify, traits: names(257) },
      ".traits",
      expect.any(String),
      expect.stringContaining("at most 256"),
    ],
    [
      { ...track, type: "page", name: "n", category: "c", properties: names(255) },
      ".properties",
      expect.any(String),
      tooMany("name and category"),
    ],
    [
      { ...track, type: "group", groupId: "g", traits: names(256) },
      ".traits",
      expect.any(String),
      tooMany("groupId"),
    ],
    [
      { ...track, anonymousId: "a", context: names(256) },
      ".context",
      expect.any(String),
      tooMany("anonymousId"),
    ],
    [{ type: "group", userId: "42" }, ".groupId", "undefined", "is required"],
    [{ type: "alias", userId: "42" }, ".previousId", "undefined", "is required"],
    [{ type: "alias", previousId: "7", anonymousId: "7", userId: "" }, ".userId", '""', "is required"],
  ])("%j", (value, path, found, message) => {
    const refusal = { code: "invalid_request", path: `batch[3]${path}`, value: found, message };
    expect(refusalOf(value)).toEqual(refusal);
  });

  test("also what JSON text can say and no update can hold", () => {
    const infinite = JSON.parse('{"amount": 1e999}');
    expect(refusalOf({ ...track, properties: infinite })).toMatchObject({
      path: "batch[3].properties.amount",
    });
    const deep = (levels: number) => ({ a: JSON.parse("[".repeat(levels) + "]".repeat(levels)) });
    for (const [call, field, levels] of [
      [track, "context", 59],
      [track, "properties", 59],
      [{ ...track, type: "group", groupId: "g" }, "traits", 59],
      [identify, "traits", 60],
    ] as const) {
      expect(refusalOf({ ...call, [field]: deep(levels) })).toBeUndefined();
      const message = expect.stringContaining("64 levels");
      expect(refusalOf({ ...call, [field]: deep(levels + 1) })).toMatchObject({ message });
    }
  });

  test("but not what is null or unknown at the top", () => {
    const nulls = {
      properties: null,
      context: null,
      messageId: null,
      timestamp: null,
      integrations: null,
      name: null,
    };
    for (const type of callTypes) {
      const call = { type, userId: "42", event: "e", groupId: "g", previousId: "p", unheardOf: [1] };
      expect(refusalOf({ ...call, ...nulls })).toBeUndefined();
    }
  });

  test("nor what another type of call tells by name", () => {
    const unread = JSON.parse('{"amount": 1e999}');
    const alias = { type: "alias", userId: "42", previousId: "7" };
    expect(refusalOf({ ...alias, properties: unread, traits: [unread] })).toBeUndefined();
    expect(refusalOf({ ...track, traits: unread })).toBeUndefined();
    expect(refusalOf({ ...identify, properties: unread })).toBeUndefined();
  });

  test.each([
    [undefined, "", "must be an object with a batch"],
    [{ batch: {} }, "batch", "must be an array of calls"],
    [{ batch: [], context: "ip" }, "context", "must be an object"],
  ])("a batch %j", (body, path, message) => {
    expect(readBatch(body)).toMatchObject({ refusal: { code: "invalid_request", path, message } });
  });

  test("and does not take the others of its batch with it", () => {
    const read = readBatch({
      batch: [track, 7, { ...track, context: 7 }],
      context: { ip: "::1" },
      sentAt: "2026-01-01T00:00:00Z",
    });
    expect(read).toMatchObject({
      sentAtMs: receivedAtMs,
      calls: [{ call: track }, { refusal: { path: "batch[1]" } }, { refusal: { path: "batch[2].context" } }],
    });
  });
});

test("a time is read the same by the short way and by the long one", () => {
  const days = (month: number) =>
    Array.from({ length: 31 }, (_, day) => `${twoDigits(month)}-${twoDigits(day + 1)}`);
  const daysOfYear = Array.from({ length: 12 }, (_, month) => days(month + 1)).flat();
  for (const text of [
    ...daysOfYear.map((day) => `2026-${day}T12:00:00.123Z`),
    "2024-02-28T23:59:59Z",
    "2024-02-29T23:59:59Z",
    "2026-01-01T24:00:00Z",
    "2026-11-28T25:00:00Z",
  ])
    expect(momentOf(text), text).toBe(momentOf(text.replace("Z", "+00:00")));
});

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
