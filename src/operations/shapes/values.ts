import { z } from "zod";
import { SCOPES } from "../../oversight/caller.ts";
import { MODES } from "../../oversight/modes.ts";

/** Values that shapes are made of. Clients rely on shapes: the objects answer in these very ones, and doors pass them through. */

export const nullableText = z.string().nullable();

/** A point in time, ISO 8601 UTC with milliseconds. */
export const timestamp = z.string().describe("ISO 8601 UTC with milliseconds");

export const modeSchema = z.enum(MODES);
export const scopeSchema = z.enum(SCOPES);
