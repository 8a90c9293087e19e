/** Of a request to the service: it changed what it may and says that it did, and what it says is what is kept. */
import { isUtf8 } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import { WRONG_EXPRESSIONS } from "./arbitrary-expressions.ts";
import type { Caller, ServiceRequest } from "./arbitrary-service-request.ts";
import type { Toggle } from "./fuzzed-service.ts";
import type { Answer } from "./subject.ts";

/** How often there was one. */
export type Changes = { definitions: number; settings: number; toggles: number };

export type Client = (
  method: "GET" | "PUT",
  url: string,
  payload?: object,
  // biome-ignore lint/suspicious/noExplicitAny: answers are checked against their schemas already
) => Promise<{ status: number; body: any }>;

type Context = { before: Changes; after: Changes; toggle: Toggle | undefined; client: Client };

/** Whether it was a change that was taken. @throws Error */
export async function checkTaken(
  request: ServiceRequest,
  answer: Answer,
  context: Context,
): Promise<boolean> {
  const { before, after, client, toggle } = context;
  const { method, path, caller, sound } = request;
  const isTaken = (method === "PUT" || method === "DELETE") && answer.status < 300;
  // What a set no longer defines may be what it reads: as before, it is not deleted then.
  if (sound && !isTaken && answer.status !== 409)
    throw new Error(`refused what is right: ${answer.status} ${answer.body.slice(0, 500)}`);
  const changed = (["definitions", "settings", "toggles"] as const).filter((of) => before[of] !== after[of]);
  if (changed.length > 0 && !isTaken) throw new Error(`${answer.status}, and it changed ${changed.join()}`);
  if (!isTaken) return false;
  if (caller.role !== "operator")
    throw new Error(`taken from who is no operator: ${answer.body.slice(0, 300)}`);
  const [at = "", query = ""] = path.split(/[?#]/);
  if (method === "DELETE") await checkDeleted(at, client);
  else await checkPut(at, query, bodyOf(request), { ...context, answer, caller });
  const part = at.startsWith("/v1/")
    ? "definitions"
    : toggle && at === "/admin/breaker"
      ? "toggles"
      : "settings";
  if (changed.some((of) => of !== part)) throw new Error(`changed ${changed.join()}`);
  return true;
}

/** As any JSON parser reads it. */
function bodyOf({ text }: ServiceRequest): unknown {
  if (text === undefined) throw new Error("taken without a body");
  if (!isUtf8(text)) throw new Error("took what is not UTF-8");
  return JSON.parse(text.toString().replace(/^\ufeff/, ""));
}

async function checkDeleted(path: string, client: Client): Promise<void> {
  const { status } = await client("GET", path);
  if (status !== 404) throw new Error(`deleted, and is there: ${status}`);
}

type Put = Context & { answer: Answer; caller: Caller & { role: "operator" } };

async function checkPut(path: string, query: string, body: unknown, put: Put): Promise<void> {
  if (path === "/admin/breaker") return checkToggle(body as Body, put);
  if (path === "/admin/settings") return checkSettings(body as Body, put);
  if (!path.endsWith("/definitions")) return checkDefinition(path, body as object, put);
  const isDry = (JSON.parse(put.answer.body) as { dryRun: boolean }).dryRun;
  if (!isDry && query === "dryRun=true") throw new Error("was asked to change nothing");
  if (isDry && put.before.definitions !== put.after.definitions)
    throw new Error("a dry run changed something");
  if (!isDry) await checkSet(path, body as DefinitionSet, put);
}

type DefinitionSet = { attributes: Record<string, object>; audiences: Record<string, object> };
type View = { name: string; definition: object };

async function checkSet(path: string, body: DefinitionSet, { client }: Put): Promise<void> {
  const kept = (await client("GET", path)).body as Record<keyof DefinitionSet, View[]>;
  for (const part of ["attributes", "audiences"] as const) {
    const found = Object.fromEntries(kept[part].map(({ name, definition }) => [name, definition]));
    if (!isDeepStrictEqual(found, { ...body[part] })) throw new Error(`${part} are kept as others`);
    for (const { name, definition } of kept[part]) checkRight(name, definition);
  }
}

async function checkDefinition(path: string, body: object, { answer, client }: Put): Promise<void> {
  const said = JSON.parse(answer.body) as View;
  const kept = (await client("GET", path)).body as View;
  for (const { definition } of [said, kept])
    if (!isDeepStrictEqual(definition, body)) throw new Error(`is another: ${JSON.stringify(definition)}`);
  checkRight(kept.name, kept.definition);
}

const wrong = new Set(WRONG_EXPRESSIONS);
const FIELDS = new Set([
  "event",
  "where",
  "aggregate",
  "of",
  "window",
  "limit",
  "derive",
  "rule",
  "description",
  "enabled",
]);

/** By docs/definitions.md, as far as it can be said without reading expressions. @throws Error */
function checkRight(name: string, definition: object): void {
  const { where, derive, rule, window, limit, event } = definition as Record<string, unknown>;
  const expression = where ?? derive ?? rule;
  const isOverEvents = typeof event === "string" && event.length > 0 && [...event].length <= 128;
  const isRight =
    /^[a-z][a-z0-9_]{0,63}$/.test(name) &&
    Object.keys(definition).every((field) => FIELDS.has(field)) &&
    (isOverEvents || typeof derive === "string" || typeof rule === "string") &&
    (expression === undefined || isExpression(expression)) &&
    (window === undefined || isWindow(window)) &&
    (limit === undefined || (Number.isInteger(limit) && Number(limit) >= 1 && Number(limit) <= 100));
  if (!isRight)
    throw new Error(`took what is no definition: ${name} ${JSON.stringify(definition).slice(0, 500)}`);
}

function isExpression(text: unknown): boolean {
  return typeof text === "string" && text.length > 0 && text.length <= 4_096 && !wrong.has(text);
}

const MINUTES = { m: 1, h: 60, d: 1_440, w: 10_080, y: 525_600 } as const;

function isWindow(text: unknown): boolean {
  const [, count, unit] = /^([1-9]\d*)([mhdwy])$/.exec(String(text)) ?? [];
  return unit !== undefined && Number(count) * MINUTES[unit as keyof typeof MINUTES] <= 10 * MINUTES.y;
}

type Body = {
  route: Toggle["route"];
  reason: string;
  expiresInSeconds?: number;
  name?: string;
  settings: Record<string, number | null>;
};

async function checkSettings(
  { settings, reason, name }: Body,
  { answer, client, caller, ...put }: Put,
): Promise<void> {
  const said = JSON.parse(answer.body) as typeof kept;
  const kept = (await client("GET", "/admin/settings")).body as {
    settings: { name: string; value: number; started: number }[];
    changes: { name: string; reason: string; settings: object }[];
  };
  if (!isDeepStrictEqual(said, kept)) throw new Error("settings are kept as others");
  const [change] = kept.changes;
  const expected = { name: caller.name ?? name ?? "operator", reason, settings: { ...settings } };
  const { at: _, ...told } = change as typeof change & { at: string };
  if (!isDeepStrictEqual(told, expected)) throw new Error(`is told as ${JSON.stringify(told)}`);
  if (put.after.settings !== put.before.settings + 1) throw new Error("is not one change");
  for (const [of, wanted] of Object.entries(settings)) {
    const found = kept.settings.find((each) => each.name === of);
    if (
      !found ||
      found.value !== (wanted ?? found.started) ||
      !Number.isInteger(found.value) ||
      found.value < 1
    )
      throw new Error(`${of} is ${found?.value}`);
  }
}

const ACTIONS = { auto: "clear", pulsar: "override", sqs: "override" };

async function checkToggle(
  body: Body,
  { answer, caller, client, toggle, before, after }: Put,
): Promise<void> {
  const { route, reason, expiresInSeconds = 0 } = body;
  const name = caller.name ?? body.name ?? "operator";
  const expiry = route === "auto" ? {} : { expiresInMs: expiresInSeconds * 1_000 };
  const isLong = expiresInSeconds > 86_400 || (route !== "auto" && !(expiresInSeconds >= 1));
  if (isLong || reason.trim() === "") throw new Error("took what ends too late, or has no reason");
  if (
    after.toggles !== before.toggles + 1 ||
    !isDeepStrictEqual({ ...toggle }, { route, reason, name, ...expiry })
  )
    throw new Error(`is kept as ${JSON.stringify(toggle)}`);
  const shown = JSON.parse(answer.body) as {
    override: { reason: string; route: string } | null;
    route: string;
  };
  const isShown =
    route === "auto" ? shown.override === null : shown.override?.reason === reason && shown.route === route;
  if (!isShown) throw new Error(`shows ${JSON.stringify(shown.override)}`);
  const [line] = (await client("GET", "/admin/audit?limit=1")).body.lines;
  const told = { action: line.action, route: line.route, name: line.name, reason: line.reason };
  if (!isDeepStrictEqual(told, { action: ACTIONS[route], route, name, reason }))
    throw new Error(`the audit has ${JSON.stringify(line)}`);
}
