import type { FC } from "hono/jsx";
import { Icon, type Shape } from "../layout.tsx";
import type { Severity, Warning } from "../misleading.ts";

const LEVELS: Record<Severity, { label: string; shape: Shape }> = {
  danger: { label: "Serious", shape: "alert" },
  caution: { label: "Look twice", shape: "alert" },
  notice: { label: "Good to know", shape: "info" },
};

const WarningItem: FC<{ warning: Warning }> = ({ warning }) => (
  <li class={`warning ${warning.severity}`}>
    <span class="level">
      <Icon shape={LEVELS[warning.severity].shape} />
      {LEVELS[warning.severity].label}
    </span>
    <bdi>{warning.message}</bdi>
    {warning.evidence && (
      <dl>
        {warning.evidence.map(({ label, text }) => (
          <div>
            <dt>{label}</dt>
            <dd>
              <bdi>{text}</bdi>
            </dd>
          </div>
        ))}
      </dl>
    )}
  </li>
);

/** What can mislead, before anything that can be pressed. Finding nothing is said, but not sold as a guarantee. */
export const Warnings: FC<{ warnings: readonly Warning[] }> = ({ warnings }) => {
  if (warnings.length === 0) {
    return (
      <p class="calm">
        <Icon shape="info" />
        <span>The checks of how it is written found nothing made to mislead. What it says is for you to judge.</span>
      </p>
    );
  }
  const serious = warnings.filter((warning) => warning.severity === "danger").length;
  return (
    <section class="warnings" aria-labelledby="warnings-title">
      <h2 id="warnings-title">{serious > 0 ? "Stop: something here is misleading" : "Before you decide"}</h2>
      <ul>
        {warnings.map((warning) => (
          <WarningItem warning={warning} />
        ))}
      </ul>
    </section>
  );
};
