import { type ActionRow, DOMAIN, NONE } from "./row.ts";

const DOMAIN_SETTINGS = ["dkim_key_type", "dmarc_policy", "mta_sts"] as const;

/** What befalls a domain. See ../actions.ts. */
export const DOMAIN_ACTIONS = {
  "domain.configured": {
    says: "A domain was set up.",
    detail: [...DOMAIN_SETTINGS, "is_owned"],
    personal: DOMAIN,
  },
  "domain.updated": {
    says: "A domain's settings were changed.",
    detail: ["changed", ...DOMAIN_SETTINGS],
    personal: DOMAIN,
  },
  "domain.deleted": { says: "A domain was given up.", detail: NONE, personal: DOMAIN },
  "domain.verified": { says: "A domain's records are in order.", detail: ["not_passing"], personal: DOMAIN },
  "domain.broken": { says: "A domain's records are not in order.", detail: ["not_passing"], personal: DOMAIN },
  "domain.proved": { says: "Control of a domain was proved.", detail: NONE, personal: DOMAIN },
  "domain.taken_over": {
    says: "Control of a domain was proved that another account had reserved.",
    detail: NONE,
    personal: DOMAIN,
  },
  "domain.reserved": { says: "A domain was reserved.", detail: NONE, personal: DOMAIN },
  "domain.lost": { says: "Another account proved control of a domain.", detail: NONE, personal: DOMAIN },
  "domain.dkim_rotation_started": {
    says: "New DKIM keys were made, and wait to be published.",
    detail: ["selectors"],
    personal: DOMAIN,
  },
  "domain.dkim_rotated": { says: "New DKIM keys took over.", detail: ["selectors"], personal: DOMAIN },
  "domain.dkim_keys_removed": {
    says: "Old DKIM keys were deleted.",
    detail: ["selectors"],
    personal: DOMAIN,
  },
} as const satisfies Record<string, ActionRow>;
