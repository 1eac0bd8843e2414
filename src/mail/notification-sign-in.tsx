import { timeInWords } from "../pages/words.ts";
import { Button, Mail, Paragraph, PlainLink, renderMail } from "./notification-layout.tsx";
import { Checkpoint, foot, type PersonMail, paragraphs } from "./notification-parts.tsx";
import { oneLine, quotingSubject } from "./notification-text.ts";

/** What the mail with a sign-in link is made of. */
export interface SignIn {
  /** The one-time link, whole. */
  link: string;
  /** Whose address it is mailed to. */
  person: string;
  tenant_name: string;
  /** ISO 8601. */
  expires_at: string;
  product_url: string;
  checkpoint?: string | null;
}

/** The mail with a one-time link into the console. Opening it does not sign in yet: mail scanners open links too. */
export function signInMail({
  link,
  person,
  tenant_name,
  expires_at,
  product_url,
  checkpoint = null,
}: SignIn): PersonMail {
  const tenant = oneLine(tenant_name, 80);
  const title = "Sign in";
  const lead = `Someone, probably you, wants to sign in to the console of ${tenant} as ${oneLine(person, 200, "strict")}.`;
  const once = `The link works once, until ${timeInWords(expires_at)}. The page it opens asks you to confirm.`;
  const ignore =
    "If it was not you, ignore this mail: nobody gets in without this link. Do not forward it, and give it to nobody who asks for it.";
  const why = `You get this because you oversee mailboxes of ${tenant}.`;
  return {
    subject: quotingSubject("Your link to sign in", tenant),
    text: paragraphs(title, lead, `Sign in:\n${link}`, once, ignore, foot(why, product_url, checkpoint)),
    html: renderMail(
      <Mail title={title} preview={lead} product_url={product_url} why={why}>
        <Paragraph soft>{lead}</Paragraph>
        <Button href={link} label="Sign in" />
        <Paragraph>{once}</Paragraph>
        <Paragraph soft small>
          {ignore}
        </Paragraph>
        <Paragraph soft small>
          If the button does nothing, open this address: <PlainLink href={link} />
        </Paragraph>
        {checkpoint !== null && <Checkpoint note={checkpoint} />}
      </Mail>,
    ),
  };
}
