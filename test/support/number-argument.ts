import { InvalidArgumentError } from "commander";

const FORMS = { "whole number": /^\d{1,15}$/, number: /^\d{1,15}(\.\d{1,15})?$/ };

/** For commander: the number that an option's text is, in plain digits; refused where it is none from `min` to `max`. */
export function numberArgument(
  min: number,
  max: number,
  kind: keyof typeof FORMS = "whole number",
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (FORMS[kind].test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`${text} is not a ${kind} from ${min} to ${max}`);
  };
}
