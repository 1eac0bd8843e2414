import { inputFields } from "../../src/doors/admit.ts";
import type { Operation } from "../../src/operations/operation.ts";

/** Calls to operations, derived from their definitions: an operation with a field that no sample is known for fails its test. */

/** Ids of things in one tenant's hands. */
export interface Things {
  mailbox_id: string;
  email_id: string;
  thread_id: string;
  pending_id: string;
  /** A key's. */
  id: string;
}

type Reference = keyof Things;
const REFERENCES: readonly Reference[] = ["mailbox_id", "email_id", "thread_id", "pending_id", "id"];

/** A value for each field that some operation needs. */
const VALUES: Readonly<Record<string, () => unknown>> = {
  to: () => "ana@customer.example",
  subject: () => "Offer",
  markdown: () => "Hello",
  status: () => "read",
  tags: () => ["offer"],
  key: () => "offer",
  filename: () => "offer.txt",
  decision: () => "reject",
  name: () => "made by a test",
  scopes: () => ["read"],
  display_name: () => "Agent",
  address_local: () => `made-${Math.random().toString(36).slice(2, 12)}`,
};

/** Optional by their schema, but one of a group that is needed. */
const NEEDED_BY_GROUP = new Set(["markdown", "decision", "display_name", "address_local"]);

/** @returns whether an input is taken. */
function isTaken(operation: Operation, input: Record<string, unknown>): boolean {
  return operation.input.safeParse(input).success;
}

/** The fields that an operation cannot do without, apart from references. */
export function sampleValues(operation: Operation): Record<string, unknown> {
  const fields = inputFields(operation.input);
  const needed = Object.entries(fields).filter(
    ([name, schema]) =>
      !REFERENCES.some((reference) => reference === name) &&
      (NEEDED_BY_GROUP.has(name) || !schema.safeParse(undefined).success),
  );
  return Object.fromEntries(
    needed.map(([name]) => {
      const value = VALUES[name];
      if (!value)
        throw new Error(`${operation.name} needs the field ${name}: give it a sample in operation-samples.ts`);
      return [name, value()];
    }),
  );
}

/** The references that an operation cannot do without; none for one that only filters by them. */
export function neededReferences(operation: Operation): Reference[] {
  const fields = inputFields(operation.input);
  const has = REFERENCES.filter((name) => name in fields);
  const inPath = operation.rest.flatMap(({ path }) => has.filter((name) => path.includes(`{${name}}`)));
  if (isTaken(operation, sampleValues(operation))) return [];
  if (isTaken(operation, { ...sampleValues(operation), ...Object.fromEntries(inPath.map((name) => [name, "x"])) }))
    return [...new Set(inPath)];
  const enough = has.find((name) => isTaken(operation, { ...sampleValues(operation), [name]: "x" }));
  return [...new Set([...inPath, ...(enough ? [enough] : [])])];
}

export interface SampleCall {
  /** `POST /v1/mailboxes/{mailbox_id}/send`. */
  label: string;
  path: string;
  method: string;
  json?: unknown;
}

function filled(path: string, input: Record<string, unknown>): { path: string; rest: Record<string, unknown> } {
  const rest = { ...input };
  const full = path.replace(/\{(\w+)\}/g, (_whole, name: string) => {
    const value = String(rest[name]);
    delete rest[name];
    return encodeURIComponent(value);
  });
  return { path: full, rest };
}

/** One call at each of an operation's doors, naming these things. */
export function sampleCalls(operation: Operation, things: Things): SampleCall[] {
  const references = Object.fromEntries(neededReferences(operation).map((name) => [name, things[name]]));
  const input = () => ({ ...references, ...sampleValues(operation) });
  const rest = operation.rest.map(({ method, path: template }): SampleCall => {
    const { path, rest: others } = filled(template, input());
    const own = template.includes("{mailbox_id}") ? others : withoutMailbox(others);
    const label = `${method} ${template}`;
    if (method === "GET")
      return {
        label,
        method,
        path: `${path}?${new URLSearchParams(Object.entries(own).map(([name, value]) => [name, String(value)]))}`,
      };
    return { label, method, path, ...(Object.keys(own).length > 0 && { json: own }) };
  });
  const rpc = [`/v1/${operation.name}`, `/${operation.name}`].map((path) => ({
    label: `POST ${path}`,
    method: "POST",
    path,
    json: input(),
  }));
  return [...rest, ...rpc];
}

function withoutMailbox({ mailbox_id: _mailbox, ...others }: Record<string, unknown>): Record<string, unknown> {
  return others;
}
