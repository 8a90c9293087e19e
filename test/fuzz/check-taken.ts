/** Of a request to the service: it changed what it may and says that it did, and what it says is what is kept. */
import { isUtf8 } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import { USERS } from "./arbitrary-service-calls.ts";
import type { Caller, ServiceRequest } from "./arbitrary-service-request.ts";
import {
  type Client,
  checkDefinition,
  checkReads,
  checkSet,
  type DefinitionSet,
} from "./check-definitions.ts";
import type { Toggle } from "./fuzzed-service.ts";
import type { Answer } from "./subject.ts";

/** How often there was one. */
export type Changes = { definitions: number; settings: number; toggles: number };

type Context = { before: Changes; after: Changes; toggle: Toggle | undefined; client: Client };

/** Whether it was a change that was taken. @throws Error */
export async function checkTaken(
  request: ServiceRequest,
  answer: Answer,
  context: Context,
): Promise<boolean> {
  const { before, after, client } = context;
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
  const own = { "/admin/breaker": "toggles", "/admin/settings": "settings" }[at] ?? "definitions";
  if (changed.some((of) => of !== own)) throw new Error(`changed ${changed.join()}`);
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
  if (!path.endsWith("/definitions")) {
    await checkDefinition(path, body as object, put.answer, put.client);
    return checkReads(path, USERS[0], put.client);
  }
  const isDry = (JSON.parse(put.answer.body) as { dryRun: boolean }).dryRun;
  if (!isDry && query === "dryRun=true") throw new Error("was asked to change nothing");
  if (isDry && put.before.definitions !== put.after.definitions)
    throw new Error("a dry run changed something");
  if (!isDry) await checkSet(path, body as DefinitionSet, put.client);
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

type AuditLine = { action: string; route: string; name: string; reason: string };
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
  // Votes, and overrides that end, may have added theirs meanwhile.
  const { lines } = (await client("GET", "/admin/audit?limit=5")).body as { lines: AuditLine[] };
  const line = lines.find(({ action }) => action === ACTIONS[route]);
  if (line?.route !== route || line.name !== name || line.reason !== reason)
    throw new Error(`the audit has ${JSON.stringify(line)}`);
}
