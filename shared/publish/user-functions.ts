import type { Operation } from "../domain/envelope.ts";
import type { UpdateInput } from "./update-input.ts";

/** What can be said about a user's update besides what happened. */
export type UpdateOptions = Omit<UpdateInput, "tenant" | "userId" | "ops">;

/** The functions of one user, one for each kind of operation. All resolve and reject as what they send by. */
export type UserFunctions<Result> = {
  set(fields: Record<string, unknown>, options?: UpdateOptions): Promise<Result>;
  unset(fields: string[], options?: UpdateOptions): Promise<Result>;
  add(members: Record<string, (string | number | boolean)[]>, options?: UpdateOptions): Promise<Result>;
  remove(members: Record<string, (string | number | boolean)[]>, options?: UpdateOptions): Promise<Result>;
  increment(amounts: Record<string, number>, options?: UpdateOptions): Promise<Result>;
  event(name: string, properties?: Record<string, unknown>, options?: UpdateOptions): Promise<Result>;
};

/** @param send sends one update of the user. */
export function userFunctions<Result>(
  send: (update: Omit<UpdateInput, "tenant" | "userId">) => Promise<Result>,
): UserFunctions<Result> {
  const one = (operation: Operation, options?: UpdateOptions) => send({ ...options, ops: [operation] });
  return {
    set: (body, options) => one({ kind: "set", body }, options),
    unset: (body, options) => one({ kind: "unset", body }, options),
    add: (body, options) => one({ kind: "add", body }, options),
    remove: (body, options) => one({ kind: "remove", body }, options),
    increment: (body, options) => one({ kind: "increment", body }, options),
    event: (name, properties, options) =>
      one({ kind: "event", body: properties === undefined ? { name } : { name, properties } }, options),
  };
}
