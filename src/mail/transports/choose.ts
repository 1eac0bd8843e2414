import { EmailMessage } from "cloudflare:email";
import { connect } from "cloudflare:sockets";
import type { Env } from "../../env.ts";
import { cloudflareEmail } from "./cloudflare-email.ts";
import { sandbox } from "./sandbox.ts";
import { type SmtpRelaySettings, smtpRelay } from "./smtp-relay.ts";
import type { Transport } from "./transport.ts";

const SECURITIES = ["starttls", "tls", "none"] as const;

function smtpSettings(env: Env): SmtpRelaySettings {
  const host = env.SMTP_HOST;
  if (!host) throw new Error("TRANSPORT is smtp, but SMTP_HOST is not set: name the relay that takes outgoing mail");
  const security = SECURITIES.find((known) => known === (env.SMTP_SECURITY ?? "starttls"));
  if (!security) throw new Error(`SMTP_SECURITY is ${env.SMTP_SECURITY}; it must be one of ${SECURITIES.join(", ")}`);
  const port = Number(env.SMTP_PORT ?? (security === "tls" ? 465 : 587));
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw new Error(`SMTP_PORT is ${env.SMTP_PORT}, which is no port`);
  if (port === 25) throw new Error("SMTP_PORT is 25, which Workers cannot reach: use 587 (starttls) or 465 (tls)");
  if (!env.SMTP_USERNAME !== !env.SMTP_PASSWORD) {
    throw new Error("SMTP_USERNAME and SMTP_PASSWORD must be set together, or neither");
  }
  return {
    host,
    port,
    security,
    ehlo_name: env.MAIL_DOMAIN,
    ...(env.SMTP_USERNAME && env.SMTP_PASSWORD && { username: env.SMTP_USERNAME, password: env.SMTP_PASSWORD }),
  };
}

/**
 * Whether what leaves by `transportFor` has the bytes that we gave, also where a setting for it is still missing. Of a test nothing
 * leaves.
 */
export function preservesBytes({ TRANSPORT }: Pick<Env, "TRANSPORT">, { test }: { test: boolean }): boolean {
  return !test && TRANSPORT !== "cloudflare";
}

/**
 * The way out that the deployment's settings name.
 * @param options `test`: the message was sent with an `mm_test_` key, and nothing may leave.
 * @throws Error that says which setting is missing or wrong.
 */
export function transportFor(env: Env, options: { test: boolean }): Transport {
  if (options.test) return sandbox();
  switch (env.TRANSPORT) {
    case "smtp":
      return smtpRelay(smtpSettings(env), connect);
    case "cloudflare":
      if (!env.EMAIL) throw new Error("TRANSPORT is cloudflare, but there is no send_email binding named EMAIL");
      return cloudflareEmail(env.EMAIL, EmailMessage);
    default:
      throw new Error(`TRANSPORT is ${String(env.TRANSPORT)}; it must be smtp or cloudflare`);
  }
}
