import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { FastifyInstance } from "fastify";
import Type from "typebox";
import { readersOnly, readSecurity } from "../../../shared/http/access.ts";
import type { Operators } from "../../../shared/http/operators.ts";
import type { HotUsers } from "../hot-users.ts";

const View = Type.Object({
  users: Type.Array(
    Type.Object({
      key: Type.String({ description: "tenant:userId, but for what others put on the topic" }),
      updatesPerSecond: Type.Integer({ description: "in the last second, at least" }),
    }),
    { description: "most first" },
  ),
});

/** GET /admin/hot-users */
export function addHotUserRoutes(
  server: FastifyInstance,
  {
    hotUsers,
    access: { readers, operators },
  }: { hotUsers: HotUsers; access: { readers: Operators | undefined; operators: Operators } },
): void {
  server.withTypeProvider<TypeBoxTypeProvider>().get(
    "/admin/hot-users",
    {
      schema: {
        summary:
          "Whose updates this consumer had most of in the last second; each consumer has users of its own",
        response: { 200: View },
        ...readSecurity(readers),
      },
      config: { errors: [401] },
      onRequest: readersOnly(readers, operators),
    },
    () => ({ users: [...hotUsers.top()] }),
  );
}
