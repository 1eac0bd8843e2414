import { z } from "zod";
import type { Env } from "../env.ts";
import { type Issue, Refused } from "../errors.ts";
import { comparableAddress, withoutTag } from "../mail/address.ts";
import { type Delegation, isSamePerson } from "../oversight/approvals.ts";
import { wholeNumber } from "./fields.ts";
import { personAddress } from "./people.ts";

/** Who decides for a mailbox, as inputs name them: several people, how many of them it takes, and who stands in for whom. */

const MAX_APPROVERS = 20;
const MAX_DELEGATIONS = 20;
/** Nobody is away for longer; whoever is, is no approver any more. */
const LONGEST_DELEGATION = 366 * 24 * 3600_000;

const person = z.string().min(1).max(320);
/** A point in time with its zone. @returns ISO 8601 UTC with milliseconds. */
const zonedTime = z.iso.datetime({ offset: true }).transform((text) => new Date(text).toISOString());

export const approversIn = {
  approver_email: z.string().max(320).nullable().optional().describe("Who decides; null: the operator"),
  approvers: z
    .array(person)
    .max(MAX_APPROVERS)
    .optional()
    .describe("Everyone who decides, in the order in which they are asked; none: the operator"),
  quorum: wholeNumber(1, MAX_APPROVERS).optional().describe("How many different people must approve"),
  delegations: z
    .array(z.strictObject({ approver: person, delegate: person, from: zonedTime, until: zonedTime }))
    .max(MAX_DELEGATIONS)
    .optional()
    .describe("Who decides in whose place, and when"),
};

interface ApproversIn {
  approver_email: string | null | undefined;
  approvers: string[] | undefined;
}

/**
 * Reads who decides.
 * @param path the input's own, for the paths of issues.
 * @returns bare addresses in the order given; undefined if the input names none of the fields.
 * @throws {Refused} for an address that is no person's; `invalid_input` if the two fields disagree, or a person is named twice.
 */
export async function readApprovers(
  env: Env,
  { approver_email, approvers }: ApproversIn,
  path: string,
): Promise<string[] | undefined> {
  const first = approver_email ? await personAddress(env, approver_email, `${path}approver_email`) : null;
  if (approvers === undefined) return approver_email === undefined ? undefined : first === null ? [] : [first];
  const all: string[] = [];
  for (const [index, text] of approvers.entries()) {
    const field = `${path}approvers.${index}`;
    const address = await personAddress(env, text, field);
    // Whoever has an address has all its tags too, and a quorum is of different people.
    if (all.some((other) => isOnePerson(other, address))) throw wrong(field, "is a person who is named before");
    all.push(address);
  }
  if (approver_email !== undefined && !isSameOrNone(first, all[0] ?? null)) {
    throw wrong(`${path}approver_email`, "says something else than the first of approvers");
  }
  return all;
}

function isOnePerson(a: string, b: string): boolean {
  return withoutTag(comparableAddress(a)) === withoutTag(comparableAddress(b));
}

function isSameOrNone(a: string | null, b: string | null): boolean {
  return a === null || b === null ? a === b : isSamePerson(a, b);
}

/**
 * Reads who stands in for whom. Whether the approvers are the mailbox's is not known here.
 * @returns the delegations, times in UTC; undefined if none are named.
 * @throws {Refused} for an address that is no person's; `invalid_input` for times and people that make no sense together.
 */
export async function readDelegations(
  env: Env,
  given: Delegation[] | undefined,
  path: string,
): Promise<Delegation[] | undefined> {
  if (given === undefined) return undefined;
  const all: Delegation[] = [];
  for (const [index, { approver, delegate, from, until }] of given.entries()) {
    const field = `${path}delegations.${index}`;
    all.push({
      approver: await personAddress(env, approver, `${field}.approver`),
      delegate: await personAddress(env, delegate, `${field}.delegate`),
      from,
      until,
    });
  }
  const issues = all.flatMap((each, index) => faultsOf(each, all.slice(0, index), all, `${path}delegations.${index}`));
  const [first] = issues;
  if (first) throw new Refused("invalid_input", `${first.path} ${first.message}.`, { issues });
  return all;
}

function faultsOf(
  { approver, delegate, from, until }: Delegation,
  before: readonly Delegation[],
  all: readonly Delegation[],
  path: string,
): Issue[] {
  const length = Date.parse(until) - Date.parse(from);
  const overlaps = (other: Delegation) => other.from < until && from < other.until;
  const faults: [wrong: boolean, field: string, message: string][] = [
    [length <= 0, "until", "must be after from"],
    [length > LONGEST_DELEGATION, "until", "may be at most 366 days after from"],
    [isOnePerson(approver, delegate), "delegate", "is the approver"],
    [
      before.some((other) => isSamePerson(other.approver, approver) && overlaps(other)),
      "approver",
      "has another delegate at the same time",
    ],
    [
      all.some((other) => isSamePerson(other.approver, delegate) && overlaps(other)),
      "delegate",
      "is away at the same time; name whoever decides then",
    ],
  ];
  return faults.filter(([isWrong]) => isWrong).map(([, field, message]) => ({ path: `${path}.${field}`, message }));
}

function wrong(path: string, message: string): Refused {
  return new Refused("invalid_input", `${path} ${message}.`, { issues: [{ path, message }] });
}
