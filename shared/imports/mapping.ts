import Type from "typebox";
import { MAX_NAMES } from "../domain/envelope.ts";

/** How a row of a file becomes an update. Where only a column is given, its name alone stands for it. */
const column = Type.String({
  minLength: 1,
  maxLength: 256,
  description: "a column's name; of NDJSON a field, with dots a field within a field",
});
const type = Type.Enum(["string", "number", "boolean", "json"]);
const empty = Type.Enum(["skip", "keep", "refuse"], {
  description: "what an empty cell does: nothing, its value as it is, or the line is refused",
});

const exact = { additionalProperties: false };

const Key = Type.Object({ column }, exact);
const cellProperties = {
  column: Type.Optional(column),
  value: Type.Optional(Type.Unknown({ description: "the same for every row, in the place of a column" })),
  type: Type.Optional(type),
  empty: Type.Optional(empty),
};
const Cell = Type.Object(cellProperties, exact);
const ListCell = Type.Object(
  { ...cellProperties, split: Type.Optional(Type.String({ minLength: 1, maxLength: 16 })) },
  exact,
);
const At = Type.Object(
  {
    column,
    format: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        description: "iso (the default), seconds, milliseconds, or tokens such as yyyyMMdd",
      }),
    ),
    zone: Type.Optional(
      Type.String({
        maxLength: 64,
        description: "of times without an offset: UTC (the default), UTC+2, Europe/Berlin",
      }),
    ),
    empty: Type.Optional(empty),
  },
  exact,
);

// A name that JSON readers refuse would cost every other row of its request.
const name = "^(?!__proto__$)[\\s\\S]{1,128}$";
const named = <T extends Type.TSchema>(value: T) =>
  Type.Record(Type.String({ pattern: name }), value, {
    ...exact,
    minProperties: 1,
    maxProperties: MAX_NAMES,
  });

/** With every shorthand written out. */
export const Mapping = Type.Object(
  {
    format: Type.Optional(Type.Enum(["csv", "ndjson"])),
    delimiter: Type.Optional(
      Type.String({
        pattern: "^(?:[\\t\\u0020-\\u0021\\u0023-\\u007e]|whitespace)$",
        description: "one character, or whitespace for any run of spaces and tabs",
      }),
    ),
    header: Type.Optional(Type.Boolean()),
    columns: Type.Optional(Type.Array(column, { minItems: 1, maxItems: 4_096 })),
    userId: Key,
    id: Type.Optional(Key),
    at: Type.Optional(At),
    event: Type.Optional(
      Type.Object(
        {
          name: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
          column: Type.Optional(column),
          properties: Type.Optional(named(Cell)),
        },
        exact,
      ),
    ),
    set: Type.Optional(named(Cell)),
    add: Type.Optional(named(ListCell)),
    remove: Type.Optional(named(ListCell)),
    increment: Type.Optional(named(Cell)),
  },
  exact,
);
export type Mapping = Type.Static<typeof Mapping>;
export type Cell = Type.Static<typeof ListCell>;
export type At = Type.Static<typeof At>;
export type CellType = Type.Static<typeof type>;
