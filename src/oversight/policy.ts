import type { Mode } from "./modes.ts";

/** What an operation does, as far as oversight is concerned: the rows of DESIGN.md's policy table. */
export type PolicyEffect = "send" | "read" | "annotate" | "inbound";

/**
 * What a mode does with an effect. `allow_with_copy`: allowed, and the overseer gets a copy. `mark_and_tag_only`: an
 * annotation is allowed if it marks or tags, and denied if it deletes or hides.
 */
export type PolicyVerdict = "deny" | "hold" | "allow" | "allow_with_copy" | "mark_and_tag_only";

/** DESIGN.md, "The policy table". An exhaustive Record: a mode or effect left out does not compile. */
export const POLICY: Readonly<Record<PolicyEffect, Readonly<Record<Mode, PolicyVerdict>>>> = {
  send: { read_only: "deny", gated_all: "hold", gated_send: "hold", monitored: "allow_with_copy", autonomous: "allow" },
  read: { read_only: "allow", gated_all: "hold", gated_send: "allow", monitored: "allow", autonomous: "allow" },
  annotate: {
    read_only: "mark_and_tag_only",
    gated_all: "hold",
    gated_send: "allow",
    monitored: "allow",
    autonomous: "allow",
  },
  inbound: { read_only: "allow", gated_all: "hold", gated_send: "allow", monitored: "allow", autonomous: "allow" },
};

/** A verdict on a message about to leave: what the mode says, reduced to what the state machine asks. */
export interface SendVerdict {
  verdict: "allow" | "hold" | "deny";
  /** Whether the overseer gets a copy of what is sent. */
  copy: boolean;
  /** The stricter of the mailbox's and the request's mode, which is the one applied. */
  mode: Mode;
  /** Which rule decided, in words a person understands. */
  rule: string;
}

/**
 * Judges a send.
 * @param applied the stricter of the mailbox's and the request's mode.
 */
export function judgeSend(applied: Mode): SendVerdict {
  const says = POLICY.send[applied];
  return {
    verdict: says === "deny" || says === "hold" ? says : "allow",
    copy: says === "allow_with_copy",
    mode: applied,
    rule: `mode ${applied}`,
  };
}
