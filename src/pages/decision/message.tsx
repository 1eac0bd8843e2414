import type { Child, FC } from "hono/jsx";
import type { MessageItem } from "../../../durable-objects/mailbox-rpc.ts";
import type { MailAddress, StoredAttachment } from "../../mail/message.ts";
import { Icon, Person, Visible } from "../layout.tsx";
import { sizeInWords } from "../words.ts";
import { Enclosed, ForwardedNote } from "./forwarded.tsx";
import { MessageFrame } from "./frame.tsx";

/** One line of an envelope. */
export const Line: FC<{ label: string; class?: string; children?: Child }> = ({ label, class: name, children }) => (
  <div class={name}>
    <dt>{label}</dt>
    <dd>{children}</dd>
  </div>
);

const People: FC<{ label: string; people: readonly MailAddress[] }> = ({ label, people }) =>
  people.length === 0 ? null : (
    <Line label={label}>
      <ul class="people">
        {people.map((person) => (
          <li>
            <Person name={person.name} address={person.address} />
          </li>
        ))}
      </ul>
    </Line>
  );

/** Sender, every recipient and subject. Bcc says that the others do not see it. */
const Envelope: FC<{ item: MessageItem }> = ({ item: { content } }) => (
  <dl class="envelope">
    <Line label="Subject" class="subject">
      {content.subject === "" ? (
        <span class="soft">(no subject)</span>
      ) : (
        <Visible text={content.subject} context="line" />
      )}
    </Line>
    <People label="From" people={[content.from]} />
    <People label="Answers to" people={content.reply_to} />
    <People label="To" people={content.to} />
    <People label="Cc" people={content.cc} />
    <People label="Bcc, unseen" people={content.bcc} />
  </dl>
);

const HIDDEN_NOTE = "Links do not open here, and nothing is loaded from the internet.";

/**
 * The bodies: as recipients see it, the plain text version, and the HTML itself, switched without a script. `source` is shown in
 * the place of the HTML where that was made from something else.
 */
export const Bodies: FC<{ text: string | null; html: string | null; source?: string }> = ({ text, html, source }) => {
  if (html === null) {
    return (
      <div class="views">
        <div class="view only">
          {text === null || text === "" ? (
            <p class="soft">(no text)</p>
          ) : (
            <pre dir="auto">
              <Visible text={text} context="body" />
            </pre>
          )}
        </div>
      </div>
    );
  }
  return (
    <fieldset class="views">
      <legend>Show the message as</legend>
      <input type="radio" name="view" id="view-html" checked />
      <label for="view-html">Formatted</label>
      {text !== null && (
        <>
          <input type="radio" name="view" id="view-text" />
          <label for="view-text">Plain text</label>
        </>
      )}
      <input type="radio" name="view" id="view-source" />
      <label for="view-source">Source</label>
      <div class="view view-html">
        <MessageFrame html={html} title="The message as its recipients see it" />
        <p class="hint">{HIDDEN_NOTE}</p>
      </div>
      {text !== null && (
        <div class="view view-text">
          <pre dir="auto">
            <Visible text={text} context="body" />
          </pre>
        </div>
      )}
      <div class="view view-source">
        <pre class="mono" dir="ltr">
          <Visible text={source ?? html} context="body" />
        </pre>
      </div>
    </fieldset>
  );
};

const Attachment: FC<{ file: StoredAttachment; href: string }> = ({ file, href }) => (
  <li>
    <a href={href} download rel="noreferrer">
      <span class="file">
        <Visible text={file.name} context="strict" />
      </span>
      <span class="soft small">
        <Visible text={file.content_type} context="strict" /> · {sizeInWords(file.size)}
        {file.disposition === "inline" ? " · shown inside the message" : ""}
      </span>
      <span class="soft small">
        SHA-256 <span class="mono">{file.sha256.slice(0, 16)}…</span>
      </span>
    </a>
  </li>
);

/** The mailbox's rules became stricter while it was delivered. */
const TriedNote: FC<{ reached: readonly string[] }> = ({ reached }) => (
  <p class="calm">
    <Icon shape="info" />
    <span>
      {reached.length === 0 ? (
        "Its delivery was tried, and nobody has it yet."
      ) : (
        <>
          {reached.map((address, index) => (
            <>
              {index > 0 && ", "}
              <Person name={null} address={address} />
            </>
          ))}{" "}
          {reached.length === 1 ? "has" : "have"} it already: you decide about the others.
        </>
      )}{" "}
      Nobody can be left out any more.
    </span>
  </p>
);

/** What will leave, or what has arrived: the envelope, the bodies and the attachments. `base` is the page's own path. */
export const Message: FC<{ item: MessageItem; base: string }> = ({ item, base }) => (
  <>
    {item.forwarded && <ForwardedNote forwarded={item.forwarded} />}
    {item.tried && <TriedNote {...item.tried} />}
    <section class="card" aria-label="The message">
      <Envelope item={item} />
      <Bodies text={item.content.text} html={item.content.html} />
    </section>
    {item.content.attachments.length > 0 && (
      <section class="card" aria-labelledby="files-title">
        <header>
          <h2 id="files-title">
            {item.content.attachments.length === 1 ? "1 attachment" : `${item.content.attachments.length} attachments`}
          </h2>
        </header>
        <ul class="files">
          {item.content.attachments.map((file, i) => (
            <Attachment file={file} href={`${base}/attachments/${i}`} />
          ))}
        </ul>
      </section>
    )}
    {item.forwarded && <Enclosed forwarded={item.forwarded} />}
  </>
);
