/** Why a user is in an audience, or is not. */
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import { type Explanation, explain } from "../../../shared/domain/explain.ts";
import { explainInWords } from "../../../shared/domain/explain-words.ts";
import { readSecurity } from "../../../shared/http/access.ts";
import type { UserKey } from "../../../shared/ports/profile-store.ts";
import { readProfile } from "../read-profile.ts";
import { ExplainAnswer, ExplainQuery } from "./explain-schema.ts";
import { isoTime } from "./iso-time.ts";
import { audienceNotFound, definedAudience } from "./member-routes.ts";
import { definitionsFor, found, type ProfileRouteOptions, readingRoute, UserParams } from "./user-reads.ts";

/** GET /v1/tenants/{tenant}/users/{userId}/explain?audience= */
export function addExplainRoutes(server: FastifyInstance, options: ProfileRouteOptions): void {
  const { loader, watch, readers, now = Date.now } = options;
  server.withTypeProvider<TypeBoxTypeProvider>().get(
    "/v1/tenants/:tenant/users/:userId/explain",
    {
      schema: {
        summary: "Why a user is in an audience or not, in JSON and in plain words",
        params: UserParams,
        querystring: ExplainQuery,
        response: { 200: ExplainAnswer },
        ...readSecurity(readers),
      },
      ...readingRoute(options),
    },
    async ({ params, query }, reply) => {
      const { audience } = query;
      const { profile } = readProfile(params, await found(loader, params, query, reply));
      const { tenant } = params;
      await definedAudience(watch, tenant, audience, "audience");
      const definitions = await definitionsFor(watch, tenant, [profile]);
      const explanation = explain(profile, watch.document(tenant), definitions, audience, now());
      if (!explanation) throw audienceNotFound(tenant, audience, "audience");
      return explanationView(params, explanation) as never;
    },
  );
}

function explanationView({ tenant, userId }: UserKey, explanation: Explanation) {
  const { asOfMs, foldedWithVersion, definitionsVersion, gives, byTimeAlone, names, lastChange, ...rest } =
    explanation;
  const { atMs: sinceMs, ...change } = lastChange ?? {};
  return {
    tenant,
    userId,
    ...rest,
    ...(sinceMs === undefined || !rest.enabled ? {} : { since: isoTime(sinceMs) }),
    lastChange: lastChange && change,
    gives: gives ?? null,
    asOf: isoTime(asOfMs),
    definitionsVersion: foldedWithVersion,
    explainedVersion: definitionsVersion,
    names: names.map(inIsoTime),
    byTimeAlone: inIsoTime(byTimeAlone),
    words: explainInWords(userId, explanation),
  };
}

/** Fields such as `firstAtMs` as ISO 8601 `firstAt`, those of `events` included; the author's definition is let be. */
function inIsoTime(record: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => {
      if (/^atMs$|AtMs$/.test(key)) return [key.slice(0, -2), value === null ? null : momentOf(value)];
      const isPart = (key === "events" || key === "ofThisName") && value !== null;
      return [key, isPart ? inIsoTime(value as object) : value];
    }),
  );
}

const MAX_DATE_MS = 8.64e15;

function momentOf(epochMs: number): string | null {
  return Math.abs(epochMs) <= MAX_DATE_MS ? isoTime(epochMs) : null;
}
