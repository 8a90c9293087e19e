import { describe, expect, test } from "vitest";
import { readCloudEvent, readCloudEvents, updateOfCloudEvent } from "../../services/gateway/cloud-event.ts";

/** As in https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md, 3.2, with a subject. */
const event = {
  specversion: "1.0",
  type: "com.example.someevent",
  source: "/mycontext",
  subject: "42",
  id: "C234-1234-1234",
  time: "2018-04-05T17:31:00Z",
  comexampleextension1: "value",
  comexampleothervalue: 5,
  datacontenttype: "application/json",
  data: { appinfoA: "abc", appinfoB: 123, appinfoC: true },
};
const arrival = { tenant: "shop", receivedAtMs: 7 };

function updateFrom(value: unknown) {
  const read = readCloudEvent(value, "");
  if ("refusal" in read) throw new Error(JSON.stringify(read.refusal));
  return updateOfCloudEvent(read.event, arrival);
}
const refusalOf = (value: unknown) => {
  const read = readCloudEvent(value, "[3]");
  return "refusal" in read ? read.refusal : undefined;
};

test("the specification's example is an event of its subject, with all of its attributes", () => {
  expect(updateFrom(event)).toEqual({
    tenant: "shop",
    userId: "42",
    id: "/mycontext|C234-1234-1234",
    at: Date.parse("2018-04-05T17:31:00Z"),
    ops: [
      {
        kind: "event",
        body: {
          name: "com.example.someevent",
          properties: event.data,
          context: {
            specversion: "1.0",
            source: "/mycontext",
            id: "C234-1234-1234",
            time: "2018-04-05T17:31:00Z",
            comexampleextension1: "value",
            comexampleothervalue: 5,
            datacontenttype: "application/json",
          },
        },
      },
    ],
  });
});

describe("properties are", () => {
  test.each([
    [{ data: {} }, {}],
    [{ data: "I'm just a string" }, { value: "I'm just a string" }],
    [{ data: '<much wow="xml"/>', datacontenttype: "application/xml" }, { value: '<much wow="xml"/>' }],
    [{ data: [1] }, { value: [1] }],
    [{ data: null }, { value: null }],
    [{ data: undefined }, undefined],
  ])("of %j: %j", (fields, properties) => {
    const body = updateFrom({ ...event, ...fields }).ops[0]!.body as { properties?: unknown };
    expect(body.properties).toEqual(properties);
  });
});

test("an attribute that is null is unset", () => {
  const nulls = {
    time: null,
    datacontenttype: null,
    dataschema: null,
    data_base64: null,
    unsetextension: null,
  };
  const update = updateFrom({ ...event, ...nulls });
  expect(update.at).toBe(7);
  const { context } = update.ops[0]!.body as { context: object };
  for (const name of Object.keys(nulls)) expect(context).not.toHaveProperty(name);
});

describe("an update's id", () => {
  const idOf = (source: string, id: string) => updateFrom({ ...event, source, id }).id;

  test("is source and id where they fit", () => {
    expect(idOf("https://github.com/cloudevents", "a|b")).toBe("https://github.com/cloudevents|a|b");
    expect(idOf("s".repeat(64), "i".repeat(63))).toHaveLength(128);
  });

  test.each([
    ["s".repeat(64), "i".repeat(64)],
    ["a b", "1"],
    ["/ä", "1"],
    ["a|b", "c"],
  ])("is a digest where they don't: %s, %s", (source, id) => {
    expect(idOf(source, id)).toMatch(/^[0-9a-f]{64}$/);
    expect(idOf(source, id)).toBe(idOf(source, id));
    expect(idOf(source, id)).not.toBe(idOf(`${source}x`, id));
  });

  test("tells pairs apart that are one text together", () => {
    expect(idOf("a", "b|c")).not.toBe(idOf("a|b", "c"));
    expect(idOf("a ", "b")).not.toBe(idOf("a", " b"));
  });
});

describe("an event is refused with the path and value of what is wrong", () => {
  const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, 1]));
  const base64 = "is not taken: an event's properties are JSON, in data";
  const properties =
    "must be an object of at most 256 names, each of at most 128 characters, and any JSON values";
  test.each<[value: unknown, path: string, found: unknown, message: string]>([
    [7, "", "7", "must be an object"],
    [{ ...event, id: undefined }, ".id", "undefined", "is required"],
    [{ ...event, source: "" }, ".source", '""', "must be a string, not empty"],
    [{ ...event, specversion: "0.3" }, ".specversion", '"0.3"', 'must be "1.0"'],
    [
      { ...event, type: "$page" },
      ".type",
      '"$page"',
      "must be a string of 1 to 128 characters, not starting with $",
    ],
    [{ ...event, subject: null }, ".subject", "null", "is required"],
    [{ ...event, subject: "\ud800" }, ".subject", '"\\ud800"', "must be well-formed Unicode"],
    [{ ...event, time: "2018-04-05" }, ".time", '"2018-04-05"', "must be an RFC 3339 time"],
    [
      { ...event, time: "2018-02-30T00:00:00Z" },
      ".time",
      '"2018-02-30T00:00:00Z"',
      "must be an RFC 3339 time",
    ],
    [{ ...event, data: undefined, data_base64: "AA==" }, ".data_base64", '"AA=="', base64],
    [
      { ...event, Upper: 1 },
      ".Upper",
      "1",
      "is no name of an attribute: 1 to 128 lower-case letters and digits",
    ],
    [{ ...event, ext: {} }, ".ext", "{}", "must be a string, a whole number or a boolean, as any attribute"],
    [
      { ...event, ext: 0.5 },
      ".ext",
      "0.5",
      "must be a string, a whole number or a boolean, as any attribute",
    ],
    [{ ...event, ...names(250) }, "", "257", "must have at most 256 attributes besides type and subject"],
    [{ ...event, data: names(257) }, ".data", expect.any(String), properties],
    [
      { ...event, data: { ["x".repeat(129)]: 1 } },
      `.data.${"x".repeat(129)}`,
      "1",
      `does not fit: the data ${properties}`,
    ],
  ])("%j", (value, path, found, message) => {
    const refusal = { code: "invalid_request", path: `[3]${path}`, value: found, message };
    expect(refusalOf(JSON.parse(JSON.stringify(value)))).toEqual(refusal);
  });

  test("also what JSON text can say and no update can hold", () => {
    const infinite = JSON.parse("[1e999]");
    expect(refusalOf({ ...event, data: infinite })).toMatchObject({ path: "[3].data[0]" });
    expect(refusalOf({ ...event, ext: infinite[0] })).toMatchObject({ path: "[3].ext" });
    const deep = (levels: number) => JSON.parse("[".repeat(levels) + "]".repeat(levels));
    for (const [data, refused] of [
      [deep(59), false],
      [deep(60), true],
      [{ a: deep(59) }, false],
      [{ a: deep(60) }, true],
    ])
      expect(refusalOf({ ...event, data }) !== undefined).toBe(refused);
  });

  test("and does not take the others of its batch with it", () => {
    expect(readCloudEvents([event, 7])).toMatchObject({ events: [{ event }, { refusal: { path: "[1]" } }] });
    expect(readCloudEvents([])).toEqual({ events: [] });
    expect(readCloudEvents(event)).toMatchObject({
      refusal: { path: "", message: "must be an array of events" },
    });
  });
});
