import type { FC } from "hono/jsx";
import type { MessageItem } from "../../../durable-objects/mailbox-rpc.ts";
import type { MailAddress } from "../../mail/message.ts";
import { Icon, Person, Visible } from "../layout.tsx";
import { sizeInWords, timeInWords } from "../words.ts";
import { MessageFrame } from "./frame.tsx";
import { Line } from "./message.tsx";

type Forwarded = NonNullable<MessageItem["forwarded"]>;

/** How it leaves, in a sentence. An exhaustive Record: a form left out does not compile. */
export const FORM_WORDS: Readonly<Record<Forwarded["form"], string>> = {
  redirected:
    "This message is passed on as it is, with every byte of it: others wrote it, and those it is for get it as if it came from them. They stand below under To, and nowhere in the message.",
  attached: "A message that others wrote is attached to it as a whole. It stands below.",
};

/** Stands before the message: whoever reads on knows whose words they are. */
export const ForwardedNote: FC<{ forwarded: Forwarded }> = ({ forwarded: { form } }) => (
  <p class="calm">
    <Icon shape="info" />
    <span>{FORM_WORDS[form]}</span>
  </p>
);

const People: FC<{ label: string; people: readonly MailAddress[] }> = ({ label, people }) =>
  people.length === 0 ? null : (
    <Line label={label}>
      {people.map(({ name, address }, index) => (
        <>
          {index > 0 && ", "}
          <Person name={name} address={address} />
        </>
      ))}
    </Line>
  );

/** The message that is attached: who wrote it to whom, what it says, and its own files. */
export const Enclosed: FC<{ forwarded: Forwarded }> = ({ forwarded }) => {
  const { from, to, cc, subject, at, body, attachments } = forwarded;
  if (body === null) return null;
  return (
    <section class="card" aria-labelledby="enclosed-title">
      <header>
        <h2 id="enclosed-title">The attached message</h2>
      </header>
      <dl class="envelope">
        <Line label="Subject" class="subject">
          {subject === "" ? <span class="soft">(no subject)</span> : <Visible text={subject} context="line" />}
        </Line>
        <People label="From" people={[from]} />
        <People label="To" people={to} />
        <People label="Cc" people={cc} />
        <Line label="On">
          <time datetime={at}>{timeInWords(at)}</time>
        </Line>
      </dl>
      <div class="view only">
        <pre dir="auto">
          <Visible text={body.text} context="body" />
        </pre>
      </div>
      {body.html !== null && (
        <details>
          <summary>Formatted</summary>
          <MessageFrame html={body.html} title="The attached message as its recipients see it" />
        </details>
      )}
      {attachments.length > 0 && (
        <ul class="files">
          {attachments.map((file) => (
            <li>
              <span class="file">
                <Visible text={file.name} context="strict" />
              </span>
              <span class="soft small">
                <Visible text={file.content_type} context="strict" /> · {sizeInWords(file.size)}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
};
