import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { operatorsOnly, WRITE_SECURITY } from "../../../shared/http/access.ts";
import type { Operators } from "../../../shared/http/operators.ts";
import { changeableSettings, type LiveSettings, liveNames } from "../live-settings.ts";
import { isoTime } from "./iso-time.ts";
import { whoAndWhy } from "./who-and-why.ts";

const Change = Type.Object(
  {
    settings: Type.Record(Type.String(), Type.Union([Type.Integer(), Type.Null()]), {
      minProperties: 1,
      description: `any of ${liveNames.join(", ")}; null: back to what each process was started with`,
    }),
    ...whoAndWhy,
  },
  { additionalProperties: false },
);

const View = Type.Object({
  version: Type.Integer({ description: "of what this process goes by; 0: nothing was ever changed" }),
  settings: Type.Array(
    Type.Object({
      name: Type.String(),
      env: Type.String({ description: "the variable that says what a process starts with" }),
      value: Type.Integer({ description: "what this process goes by" }),
      started: Type.Integer({ description: "what it was started with" }),
      unit: Type.String(),
      meaning: Type.String(),
    }),
  ),
  changes: Type.Array(
    Type.Object({
      at: Type.String({ description: "ISO 8601" }),
      name: Type.String(),
      reason: Type.String(),
      settings: Type.Record(Type.String(), Type.Union([Type.Integer(), Type.Null()])),
    }),
    { description: "newest first, the last 100" },
  ),
});

/** Shows and changes the settings of all consumers while they run: GET and PUT /admin/settings. */
export function addSettingsRoutes(
  server: FastifyInstance,
  { live, operators }: { live: LiveSettings; operators: Operators },
): void {
  const routes = server.withTypeProvider<TypeBoxTypeProvider>();

  function show(): Type.Static<typeof View> {
    const { version, changes } = live.current();
    const values = live.values();
    return {
      version,
      settings: liveNames.map((name) => {
        const { env, unit, meaning } = changeableSettings[name];
        return { name, env, value: values[name], started: live.started[name], unit, meaning };
      }),
      changes: changes.map(({ atMs, ...change }) => ({ at: isoTime(atMs), ...change })),
    };
  }

  routes.get(
    "/admin/settings",
    {
      schema: {
        summary: "What can be changed while consumers run, as this one has it, and the last changes",
        response: { 200: View },
      },
    },
    show,
  );

  routes.put(
    "/admin/settings",
    {
      schema: {
        summary: "Changes settings of all consumers; each goes by them within a second",
        body: Change,
        response: { 200: View },
        ...WRITE_SECURITY,
      },
      config: { errors: [400, 401, 413, 415, 503] },
      onRequest: operatorsOnly(operators),
    },
    async (request) => {
      const { settings, reason, name: given } = request.body;
      const name = operators.authenticate(request.headers.authorization)?.name ?? given ?? "operator";
      await live.change({ name, reason, settings });
      request.log.warn({ audit: "settings", settings, reason, operator: name }, `${name} changed settings`);
      return show();
    },
  );
}
