import { describeDkim } from "../support/dkim-cases.ts";

describeDkim();
