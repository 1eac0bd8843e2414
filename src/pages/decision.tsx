import type { Child, FC } from "hono/jsx";
import type { DecisionItem } from "../../durable-objects/mailbox-rpc.ts";
import { Details } from "./decision/details.tsx";
import { EditFields } from "./decision/edit.tsx";
import { Edits } from "./decision/edits.tsx";
import { ApprovedCard, DecisionForm, type FormProps } from "./decision/form.tsx";
import { Glance } from "./decision/glance.tsx";
import { messageIn, warningsAbout } from "./decision/judged.ts";
import { KIND_WORDS } from "./decision/kinds.ts";
import { Message } from "./decision/message.tsx";
import { Request } from "./decision/request.tsx";
import { TemplateCard } from "./decision/template.tsx";
import { isEditable, type TypedEdit } from "./decision/typed-edit.ts";
import { Upgrade } from "./decision/upgrade.tsx";
import { Warnings } from "./decision/warnings.tsx";
import { Back, type BackLink, Icon, Page, Visible } from "./layout.tsx";
import { TEST_MESSAGE } from "./words.ts";

export { LONGEST_NOTE } from "./decision/form.tsx";
export type { TypedEdit } from "./decision/typed-edit.ts";

/** What the page of an open item needs. Attachments are links to `<base>/attachments/<n>`. */
export interface DecisionPageProps extends FormProps {
  approver: string;
  /** When this person approved; others must still do so. */
  approved_at: string | null;
  /** Milliseconds since the epoch. */
  now: number;
  /** What the person changed, where the form comes back. */
  typed?: TypedEdit | undefined;
  /** Why an earlier try to decide was not taken. */
  trouble?: string | undefined;
  /** In a session: where the person came from. Left out on a decision link's page. */
  back?: BackLink | undefined;
  /** In a session: what stands in the bar beside the person. */
  nav?: Child;
}

/** In place of the question, for whoever has answered it. */
const APPROVED = {
  title: "Waiting for others",
  lede: "You have approved it. It goes on once enough people have, and stops if one of them rejects it.",
};

const Intro: FC<{ item: DecisionItem; open: boolean }> = ({ item, open }) => {
  const words = KIND_WORDS[item.kind];
  const { title, lede } = open ? words : APPROVED;
  return (
    <div class="intro">
      <h1>{title}</h1>
      <p class="lede">
        {lede} {words.place} the mailbox{" "}
        <b>
          <Visible text={item.mailbox_address} context="strict" />
        </b>
        .
      </p>
      {"test" in item && item.test && (
        <p class="calm">
          <Icon shape="info" />
          <b>{TEST_MESSAGE}</b>
        </p>
      )}
    </div>
  );
};

/** Stands where a page begins to be read: the form is far below on a phone. */
const Trouble: FC<{ trouble: string }> = ({ trouble }) => (
  <p class="warning danger trouble" role="alert">
    <Visible text={trouble} context="line" />
  </p>
);

/** What it is that the person decides about. */
const Matter: FC<{ item: DecisionItem; base: string }> = ({ item, base }) => {
  switch (item.kind) {
    case "send":
    case "inbound":
      return <Message item={item} base={base} />;
    case "read":
    case "annotate":
      return <Request item={item} />;
    case "template":
      return <TemplateCard item={item} />;
    case "upgrade":
      return <Upgrade item={item} />;
  }
};

/** The page of an item that waits: what it is, what is wrong with it, and then the buttons. */
export const DecisionPage: FC<DecisionPageProps> = (props) => {
  const { item, approver, approved_at, base, expires_at, now, typed, trouble, back, nav } = props;
  const warnings = warningsAbout(item);
  const open = approved_at === null;
  return (
    <Page
      title={open ? KIND_WORDS[item.kind].title : APPROVED.title}
      who={approver}
      nav={nav}
      skipTo={{ id: "decide", label: open ? "Go to the decision" : "Go to how it stands" }}
    >
      <main>
        <div>
          {back && <Back link={back} />}
          <Intro item={item} open={open} />
          {trouble !== undefined && <Trouble trouble={trouble} />}
          <Glance item={item} expiresAt={expires_at} now={now} />
        </div>
        {messageIn(item) !== null && <Warnings warnings={warnings} />}
        <div class="columns">
          <div class="stack">
            <Matter item={item} base={base} />
            {"edits" in item && <Edits edits={item.edits} />}
            {open && isEditable(item) && <EditFields item={item} typed={typed} />}
          </div>
          <div class="side">
            {approved_at === null ? (
              <DecisionForm {...props} warnings={warnings} />
            ) : (
              <ApprovedCard item={item} approved_at={approved_at} />
            )}
          </div>
        </div>
        <Details item={item} />
      </main>
      <footer class="foot">
        Opening this page decides nothing.{back ? "" : " This link is yours alone: do not forward it."}
      </footer>
    </Page>
  );
};
