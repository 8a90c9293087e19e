import Type from "typebox";

/** What an operator says with each change that is audited. */
export const whoAndWhy = {
  reason: Type.String({
    minLength: 1,
    maxLength: 500,
    pattern: "\\S",
    description: "why, for the audit log",
  }),
  name: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 64,
      description: "who; only for a token without a name of its own",
    }),
  ),
};
